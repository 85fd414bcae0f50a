import type { Socket } from 'node:net';
import type { Server as TlsServer, TlsOptions } from 'node:tls';

/** What makes a listener speak TLS. `tls/server-tls.ts` is the one there is; listeners know only this. */
export interface TlsEnd {
  /** Of a server to be made: certificate, versions, client certificates, time for the handshake. */
  readonly options: TlsOptions;
  /**
   * From here on the server uses the newest certificate, and its connections are judged before its own listeners see
   * them. To be called once per server, after those have been added.
   */
  attach(server: TlsServer, about: TlsListenerAbout): void;
}

export interface TlsListenerAbout {
  /** For the log: the protocol as the configuration has it, such as `mqtts`. */
  readonly name: string;
  /** Answers a peer that speaks plain text; absent: its connection is closed without a word. */
  readonly answerPlain?: ((socket: Socket) => void) | undefined;
}

const subject = Symbol('subject of the client certificate');

interface Certified {
  [subject]?: string | undefined;
}

/** The subject that the client certificate of a connection was mapped to, if it showed one and there is a mapping. */
export function certificateOf(socket: object | undefined): string | undefined {
  return (socket as Certified | undefined)?.[subject];
}

/** For callers that have verified the certificate, and for objects in place of the socket. */
export function setCertificate(socket: object, name: string | undefined): void {
  if (name !== undefined) (socket as Certified)[subject] = name;
}
