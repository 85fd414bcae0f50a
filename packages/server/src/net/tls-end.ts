import type { Socket } from 'node:net';
import type { Server as TlsServer, TlsOptions } from 'node:tls';

/** TLS for a listener. `tls/server-tls.ts` implements it; listeners know only this interface. */
export interface TlsEnd {
  /** The options for a new server: certificate, versions, client certificates, time for the handshake. */
  readonly options: TlsOptions;
  /**
   * From here on the server uses the newest certificate, and checks its connections before its own listeners see them.
   * Call it once per server, after the listeners are added.
   */
  attach(server: TlsServer, about: TlsListenerAbout): void;
}

export interface TlsListenerAbout {
  /** The name of the protocol in the configuration, such as `mqtts`, for the log. */
  readonly name: string;
  /** Answers a peer that sends clear text; absent: its connection is closed at once. */
  readonly answerPlain?: ((socket: Socket) => void) | undefined;
}

const subject = Symbol('subject of the client certificate');

interface Certified {
  [subject]?: string | undefined;
}

/** The subject of a connection's client certificate; `undefined` without a certificate or without a mapping. */
export function certificateOf(socket: object | undefined): string | undefined {
  return (socket as Certified | undefined)?.[subject];
}

/** Sets the subject, for code that has verified the certificate, and for objects in place of the socket. */
export function setCertificate(socket: object, name: string | undefined): void {
  if (name !== undefined) (socket as Certified)[subject] = name;
}
