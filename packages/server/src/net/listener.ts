import { createServer, type AddressInfo, type Server, type ServerOpts, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Admission } from '../core/sessions/admission.ts';
import type { Log } from '../core/seams/log.ts';
import { guard } from './guard.ts';
import type { LinkOptions } from './link-group.ts';
import type { OpenLinks } from './link.ts';
import { TcpLink, TcpLinkGroup } from './tcp-link.ts';
import type { TlsEnd } from './tls-end.ts';

/** The configured address of a protocol. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free port; -1: none. */
  readonly port: number;
  /** The port is a default: if it is in use, the listener stays off with a warning. */
  readonly isDefaultPort: boolean;
}

/** The same for a protocol that also listens over TLS. */
export interface SecureAddress extends ListenAddress {
  readonly tls: TlsEnd;
}

export interface TcpListenerOptions<Context> extends LinkOptions<Context>, ListenAddress {
  /** The name of the protocol in the configuration, such as `mqtt`, for messages to the operator. */
  readonly name: string;
  /** Decides about each connection; absent: the server accepts all. */
  readonly admission?: Admission | undefined;
  /** Absent: it listens in clear text. */
  readonly tls?: TlsEnd | undefined;
}

/** A listener that is off, with the interface of one that is on. */
export function noListener<Context>(): TcpListener<Context> {
  return {
    port: undefined,
    url: undefined,
    size: 0,
    [Symbol.iterator]: () => [][Symbol.iterator](),
    emptied: () => Promise.resolve(),
    close: () => undefined,
  };
}

export interface TcpListener<Context> extends OpenLinks<Context> {
  /** The port it listens on; `undefined`: it is off. */
  readonly port: number | undefined;
  /** `<name>://host:port`; `undefined`: it is off. */
  readonly url: string | undefined;
  /** Accepts no new connections from here on; open ones stay. */
  close(): void;
}

/** The probes of the operating system detect machines that vanish, also if the protocol has no probes. */
const probedAfterMs = 60_000;

/**
 * Listens for TCP connections that carry a protocol's bytes.
 * @throws Error for the operator, if the port was configured and is not available
 */
export async function listenTcp<Context>(
  options: TcpListenerOptions<Context>,
): Promise<TcpListener<Context>> {
  const { name, limits, log, admission, tls } = options;
  const group = new TcpLinkGroup(options);
  const accept = (socket: Socket): void => TcpLink.accept(socket, group);
  const tcp: ServerOpts = {
    // If the peer closes its half, the server still sends its answers before it closes.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: probedAfterMs,
    // The server holds a socket with this much unsent. Node emits `drain` only for sockets above this mark.
    highWaterMark: limits.outboundHeldFromBytes,
  };
  const server = tls === undefined ? createServer(tcp, accept) : createSecure(tls, name, tcp, accept);
  if (admission !== undefined) guard(server, admission);
  const bound = await bind(server, options);
  // For example, no file descriptors are left: the server still serves connected peers.
  server.on('error', (error) => log.error({ err: error, name }, 'a connection could not be accepted'));
  return {
    port: bound?.port,
    url: bound === undefined ? undefined : `${name}://${hostAndPort(bound)}`,
    get size() {
      return group.size;
    },
    [Symbol.iterator]: () => group[Symbol.iterator](),
    emptied: () => group.emptied(),
    close() {
      if (bound !== undefined) server.close();
    },
  };
}

function createSecure(tls: TlsEnd, name: string, tcp: ServerOpts, accept: (socket: Socket) => void): Server {
  const server = createTlsServer({ ...tcp, ...tls.options }, accept);
  tls.attach(server, { name });
  return server;
}

/**
 * Makes a server listen on its configured address. `undefined`: it stays off.
 * @throws Error for the operator, if the port was configured and is not available
 */
export async function bind(
  server: Server,
  options: ListenAddress & { readonly name: string; readonly log: Log },
): Promise<AddressInfo | undefined> {
  const { name, host, port, isDefaultPort, log } = options;
  if (port < 0) return undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return server.address() as AddressInfo;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' || !isDefaultPort) throw explain(cause as NodeJS.ErrnoException, options);
    log.warn(
      { host, port },
      `${name}: port ${port} is taken, so this listener is off; --${name}-port chooses another`,
    );
    return undefined;
  }
}

/** In the form of a URL. */
export function hostAndPort({ family, address, port }: AddressInfo): string {
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function explain(
  cause: NodeJS.ErrnoException,
  { name, host, port }: ListenAddress & { name: string },
): Error {
  const flag = `--${name}-port`;
  const words = new Map([
    [
      'EADDRINUSE',
      `port ${port} on ${host} is taken; choose another with ${flag}, 0 for any, or -1 for none.`,
    ],
    ['EACCES', `port ${port} on ${host} is not permitted; ports below 1024 need root.`],
    ['EADDRNOTAVAIL', `${host} is not an address of this machine.`],
  ]);
  return new Error(`${name}: ${words.get(cause.code ?? '') ?? cause.message}`, { cause });
}
