import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { Arrivals } from './queue.ts';
import { throwHandshakeFailure } from './handshake.ts';
import { Cut, Refused, Unreachable } from './http/request.ts';
import { originOf, type Target } from './target.ts';
import { dispatcherOf, explainTls } from './tls.ts';

/** A connection that carries a protocol's bytes, over TCP or WebSocket as the URL has it. */
export interface ByteStream {
  write(bytes: Buffer): void;
  /** What comes, in any portions, until it throws the reason why nothing more does. @throws Cut, Refused */
  readonly chunks: AsyncIterable<Buffer>;
  close(): void;
}

export interface ByteStreamOptions {
  /** Of the handshake, where it is a WebSocket. */
  readonly path: string;
  readonly protocol: string;
  /** Whether the protocol's WebSocket frames are text. */
  readonly isText: boolean;
  /** The connection counts as cut after that long without a byte. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** @throws Unreachable, Refused, or the signal's reason */
export async function openByteStream(target: Target, options: ByteStreamOptions): Promise<ByteStream> {
  return target.link === 'tcp' ? openTcp(target, options) : openWebSocket(target, options);
}

async function openTcp(target: Target, { idleMs, signal }: ByteStreamOptions): Promise<ByteStream> {
  const { port, isSecure } = target;
  const host = target.host.replace(/^\[|\]$/g, '');
  const socket: Socket = isSecure
    ? // An address is no name that a server could have many of (RFC 6066 §3).
      connectSecure({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...target.certificate })
    : connectPlain({ host, port });
  const arrivals = new Arrivals<Buffer>();
  const abort = (): void => void socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void => {
      const reason = explainTls(cause) ?? cause.code ?? cause.message;
      reject(new Unreachable(`${target.host}:${port} cannot be reached (${reason})`, { cause }));
    };
    socket.once('error', fail);
    socket.once('close', () => reject(new Cut('no time was left')));
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      socket.off('error', fail);
      resolve();
    });
  });
  signal.throwIfAborted();
  socket.setNoDelay(true);
  socket.setTimeout(idleMs, () => socket.destroy(new Error(`nothing was heard for ${idleMs / 1000} s`)));
  socket.on('data', (chunk: Buffer) => arrivals.push(chunk));
  socket.on('error', (cause: NodeJS.ErrnoException) =>
    arrivals.end(new Cut(`the connection was lost (${cause.code ?? cause.message})`, { cause })),
  );
  socket.on('close', () => arrivals.end(new Cut('the server closed the connection')));
  return {
    write: (bytes) => void socket.write(bytes),
    chunks: arrivals,
    close() {
      signal.removeEventListener('abort', abort);
      socket.end();
      // What still comes is of no interest, and must not keep the process.
      socket.unref();
    },
  };
}

/** Without a token: the protocol inside shows it. */
async function openWebSocket(target: Target, options: ByteStreamOptions): Promise<ByteStream> {
  const { path, protocol, isText, idleMs, signal } = options;
  const origin = originOf(target, target.isSecure ? 'wss' : 'ws');
  const socket = new WebSocket(origin + path, {
    protocols: [protocol],
    ...(await dispatcherOf(target.certificate)),
  });
  socket.binaryType = 'arraybuffer';
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.addEventListener('open', () => resolve(true), { once: true });
    socket.addEventListener('close', () => resolve(false), { once: true });
    socket.addEventListener('error', () => resolve(false), { once: true });
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
  if (!isOpen) {
    socket.close();
    signal.throwIfAborted();
    return throwHandshakeFailure(target, { path, protocol, signal });
  }
  const arrivals = new Arrivals<Buffer>();
  const idle = setTimeout(() => {
    arrivals.end(new Cut(`nothing was heard for ${idleMs / 1000} s`));
    socket.close();
  }, idleMs);
  socket.addEventListener('message', ({ data }: { readonly data: unknown }) => {
    idle.refresh();
    arrivals.push(typeof data === 'string' ? Buffer.from(data) : Buffer.from(data as ArrayBuffer));
  });
  socket.addEventListener('close', ({ code, reason }) => {
    clearTimeout(idle);
    arrivals.end(endOf(code, reason));
  });
  signal.addEventListener('abort', () => arrivals.end(new Cut('no time was left')), { once: true });
  return {
    write: (bytes) => socket.send(isText ? bytes.toString() : new Uint8Array(bytes)),
    chunks: arrivals,
    close() {
      clearTimeout(idle);
      socket.close();
    },
  };
}

/** Codes 1008 and 4050 to 4099 say: not again like this. After all others the cursor goes on. */
export function endOf(code: number, reason: string): Error {
  const text = `the connection was closed (${code}${reason === '' ? '' : `: ${reason}`})`;
  return code === 1008 || (code >= 4050 && code <= 4099) ? new Refused(text, {}) : new Cut(text);
}
