import { Cut, toCut } from './errors.ts';
import type { Sockets } from './sockets.ts';
import type { Target } from './target.ts';
import { openLink } from './websocket/link.ts';

/** A connection that carries a protocol's bytes, over TCP or WebSocket, as the target says. */
export interface ByteStream {
  write(bytes: Buffer): void;
  /** The received bytes, in chunks of any size. At the end it throws the reason of the end. @throws Cut, Refused */
  chunks(): AsyncGenerator<Buffer, never, undefined>;
  close(): void;
}

export interface ByteStreamOptions {
  /** The path of the WebSocket handshake. Without a token, because the protocol inside sends it. */
  readonly path: string;
  readonly protocol: string;
  /** The connection counts as cut after that long without a byte. */
  readonly idleMs: number;
}

/** How long to wait for the server to end its side. */
const endWithinMs = 2_000;

/** @throws Unreachable, Cut, Refused */
export async function openByteStream(
  target: Target,
  sockets: Sockets,
  options: ByteStreamOptions,
): Promise<ByteStream> {
  return target.link === 'tcp' ? openTcp(sockets, options) : openWebSocket(target, sockets, options);
}

async function openTcp(sockets: Sockets, { idleMs }: ByteStreamOptions): Promise<ByteStream> {
  const tap = await sockets.connect();
  tap.expectBytesWithin(idleMs);
  return {
    write(bytes) {
      if (tap.writable) tap.write(bytes);
    },
    async *chunks() {
      try {
        for await (const chunk of tap) yield chunk as Buffer;
      } catch (error) {
        throw toCut(error);
      }
      throw new Cut('the server closed the connection');
    },
    close: () => tap.finish(endWithinMs),
  };
}

async function openWebSocket(
  target: Target,
  sockets: Sockets,
  { path, protocol, idleMs }: ByteStreamOptions,
): Promise<ByteStream> {
  const link = await openLink(target, sockets, { path, protocol, speaks: protocol, idleMs });
  return {
    write: (bytes) => link.send(bytes),
    async *chunks() {
      for await (const { payload } of link.messages()) yield payload;
      throw new Cut('the server closed the connection');
    },
    close: () => link.close(),
  };
}
