/** A protocol that a server speaks. */
export type Wire =
  'poll' | 'longpoll' | 'stream' | 'sse' | 'websocket' | 'socketio' | 'stomp' | 'mqtt' | 'grpc';

/** What carries it. */
export type LinkKind = 'http' | 'tcp' | 'websocket';

/** Where a server listens, and what is shown to it. */
export interface Target {
  readonly wire: Wire;
  readonly link: LinkKind;
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  /** Each wire shows it in its own place. It is in no URL, and in no text for people. */
  readonly token?: string | undefined;
  readonly certificate?: ClientCertificate | undefined;
}

/** PEM, for servers that ask for client certificates. */
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

/** The server's address as messages show it. */
export function placeOf(target: Target): string {
  return target.link === 'tcp' ? `${target.host}:${target.port}` : originOf(target);
}
