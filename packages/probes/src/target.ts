/** A protocol that a server speaks. */
export type Wire =
  'poll' | 'longpoll' | 'stream' | 'sse' | 'websocket' | 'socketio' | 'stomp' | 'mqtt' | 'grpc';

/** The carrier of the protocol. */
export type LinkKind = 'http' | 'tcp' | 'websocket';

/** The address of a server, and the credentials for it. */
export interface Target {
  readonly wire: Wire;
  readonly link: LinkKind;
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  /** Each wire sends it in its own field. It is in no URL and in no text for people. */
  readonly token?: string | undefined;
  readonly certificate?: ClientCertificate | undefined;
}

/** A client certificate in PEM, for servers that ask for one. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** The channel as a path, each level percent-encoded. */
export function encodeChannel(channel: string): string {
  return channel.split('/').map(encodeURIComponent).join('/');
}

export function originOf({ isSecure, host, port }: Target): string {
  return `${isSecure ? 'https' : 'http'}://${host}:${port}`;
}

/** The server's address for messages. */
export function placeOf(target: Target): string {
  return target.link === 'tcp' ? `${target.host}:${target.port}` : originOf(target);
}
