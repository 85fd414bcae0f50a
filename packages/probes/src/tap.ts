import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Cut } from './errors.ts';

/**
 * A socket that a probe can pause for every kind of reader. Node's HTTP and HTTP/2 clients resume a socket themselves,
 * or read past its stream, so they get this stream instead.
 */
export class Tap extends Duplex {
  readonly #socket: Socket;
  #isPaused = false;
  #isStalled = false;
  /** The reader has room. */
  #isWanted = true;
  #idleMs: number | undefined;
  #idle: NodeJS.Timeout | undefined;
  #hasEnded = false;
  #isAbandoned = false;

  constructor(socket: Socket) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#idle?.refresh();
      this.#isWanted = this.push(chunk);
      this.#flow();
    });
    socket.on('end', () => {
      this.#hasEnded = true;
      this.push(null);
    });
    socket.on('error', (error) => this.destroy(error));
    // The reader still has to read the bytes before a normal end.
    socket.on('close', () => {
      if (!this.#hasEnded) this.destroy();
    });
    this.#flow();
  }

  /** The connection counts as cut after that long without a byte, unless reading is stopped; `undefined`: never. */
  expectBytesWithin(idleMs: number | undefined): void {
    this.#idleMs = idleMs;
    this.#watch();
  }

  /** Ends this side, and soon the connection, which no longer keeps the process alive. */
  finish(withinMs: number): void {
    this.expectBytesWithin(undefined);
    this.end();
    setTimeout(() => this.destroy(), withinMs).unref();
    this.#socket.unref();
  }

  stopReading(): void {
    this.#isPaused = true;
    this.#watch();
    this.#flow();
  }

  resumeReading(): void {
    this.#isPaused = false;
    this.#watch();
    this.#flow();
  }

  /** Ends the stream for its reader, and leaves the socket to the caller. */
  abandon(reason: Error): void {
    this.#isAbandoned = true;
    this.destroy(reason);
  }

  /** From now on neither reads nor writes, without an error. */
  stall(): void {
    this.#isStalled = true;
    this.stopReading();
  }

  /** HTTP's client calls this to end a connection that it does not reuse. */
  destroySoon(): void {
    this.finish(0);
  }

  override _read(): void {
    this.#isWanted = true;
    this.#flow();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (!this.#isStalled) this.#socket.write(chunk, encoding, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#isStalled) this.#socket.end(callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idle);
    if (!this.#isAbandoned) this.#socket.destroy();
    callback(error);
  }

  #watch(): void {
    clearTimeout(this.#idle);
    const idleMs = this.#idleMs;
    if (idleMs === undefined || this.#isPaused || this.destroyed) return;
    const end = (): void => void this.destroy(new Cut(`nothing was heard for ${idleMs / 1000} s`));
    this.#idle = setTimeout(end, idleMs);
  }

  #flow(): void {
    if (this.#isWanted && !this.#isPaused && !this.#isStalled) this.#socket.resume();
    else this.#socket.pause();
  }
}
