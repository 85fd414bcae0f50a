import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface ServerFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

/** A WebSocket client that does only what the test calls: no pong, no Close, no checks. */
export class RawClient {
  readonly socket: Socket;
  /** The head of the answer to the handshake. */
  head = '';
  /** Body of an answer that is not 101. */
  body = Buffer.alloc(0);
  readonly frames: ServerFrame[] = [];
  isEnded = false;
  #rest = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('end', () => this.#end());
    socket.on('error', () => this.#end());
    socket.on('close', () => this.#end());
  }

  /** Connects without a word. Half open, so that what the server does with the connection is seen. */
  static async dial(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    socket.setNoDelay(true);
    return new RawClient(socket);
  }

  static async open(port: number, path: string, headers: readonly string[] = []): Promise<RawClient> {
    const client = await RawClient.dial(port);
    client.socket.write(handshakeText(path, headers));
    await client.until(() => client.head !== '');
    return client;
  }

  get status(): number {
    return Number(this.head.slice(9, 12));
  }

  /** The Close frame's code; 1005 for one without; undefined when none came. */
  get closeCode(): number | undefined {
    const close = this.frames.find(({ opcode }) => opcode === 8);
    if (close === undefined) return undefined;
    return close.payload.length === 0 ? 1005 : close.payload.readUInt16BE(0);
  }

  get closeReason(): string {
    return (
      this.frames
        .find(({ opcode }) => opcode === 8)
        ?.payload.subarray(2)
        .toString() ?? ''
    );
  }

  get texts(): string[] {
    return this.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => payload.toString());
  }

  write(bytes: Buffer): void {
    if (!this.socket.writableEnded) this.socket.write(bytes);
  }

  /** One byte per write, each in a separate turn so that the socket does not join them. */
  async writeSlowly(bytes: Buffer): Promise<void> {
    for (const byte of bytes) {
      if (this.socket.destroyed) return;
      this.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  }

  /** Resolves as soon as `isTrue` holds, rejects when it cannot any more. */
  async until(isTrue: () => boolean, timeoutMs = 60_000): Promise<void> {
    const giveUpAt = performance.now() + timeoutMs;
    while (!isTrue()) {
      if (this.socket.destroyed) throw new Error('the connection is gone, and it did not happen');
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0) throw new Error(`not within ${timeoutMs} ms; frames: ${JSON.stringify(this.frames)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  #end(): void {
    this.isEnded = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (this.head === '') {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.head = this.#rest.subarray(0, end).toString('latin1');
        this.#rest = this.#rest.subarray(end + 4);
      }
    }
    if (this.head !== '' && this.status !== 101) this.body = this.#rest;
    else if (this.head !== '') this.#readFrames();
    this.#wake();
  }

  #readFrames(): void {
    for (;;) {
      const bytes = this.#rest;
      if (bytes.length < 2) return;
      let length = bytes[1]!;
      let at = 2;
      if (length === 126) {
        if (bytes.length < 4) return;
        length = bytes.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (bytes.length < 10) return;
        length = Number(bytes.readBigUInt64BE(2));
        at = 10;
      }
      if (bytes.length < at + length) return;
      this.frames.push({
        opcode: bytes[0]! & 0x0f,
        fin: bytes[0]! >= 0x80,
        payload: Buffer.from(bytes.subarray(at, at + length)),
      });
      this.#rest = bytes.subarray(at + length);
    }
  }
}

export function handshakeText(path: string, headers: readonly string[] = []): string {
  const key = randomBytes(16).toString('base64');
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`
  );
}
