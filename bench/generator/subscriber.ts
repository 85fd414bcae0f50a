import net from 'node:net';
import { nowUs } from '../clock.ts';
import { Arrivals, type ArrivalOptions } from './arrivals.ts';
import type { Handshake } from './handshakes.ts';

const headEnd = '\r\n\r\n';

// One for all: libuv fills it and hands it over before it reads the next socket, so no connection owns memory.
const readBuffer = Buffer.alloc(256 * 1024);

export interface SubscriberOptions {
  readonly port: number;
  /** A loopback address: a source address has some 28,000 ports to one destination. */
  readonly localAddress: string;
  readonly handshake: Handshake;
  readonly arrivals: Omit<ArrivalOptions, 'onFraming'>;
}

/** One raw connection that subscribes and then only counts. */
export class Subscriber {
  readonly arrivals: Arrivals;
  isOpen = false;
  /** Called after each read once the subscription is ready. */
  onRead: (() => void) | undefined;
  readonly #options: SubscriberOptions;
  #socket: net.Socket | undefined;
  #opening: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #head = '';
  #readyLeft: number;
  #isHeadDone: boolean;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#readyLeft = options.handshake.ready?.times ?? 0;
    this.#isHeadDone = options.handshake.status === undefined;
    const { answerPing } = options.handshake;
    this.arrivals = new Arrivals({
      ...options.arrivals,
      onFraming:
        answerPing === undefined
          ? undefined
          : (framing) => {
              const answer = answerPing(framing);
              if (answer !== undefined) this.#socket?.write(answer);
            },
    });
  }

  /** Resolves when the subscription is ready; rejects when the server refuses it or the connection ends before. */
  open(): Promise<void> {
    const { port, localAddress, handshake } = this.#options;
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      const socket = net.connect({
        host: '127.0.0.1',
        port,
        localAddress,
        onread: {
          buffer: readBuffer,
          callback: (bytes) => {
            this.#read(readBuffer.subarray(0, bytes));
            return true;
          },
        },
      });
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.write(handshake.request);
      socket.on('error', (error) => this.#closed(error));
      socket.on('close', () => this.#closed(new Error('the server closed the connection')));
    });
  }

  /** Stops reading, like a stuck peer. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Ends with a reset, which leaves no port in TIME_WAIT. */
  close(): void {
    this.#opening = undefined;
    this.#socket?.resetAndDestroy();
  }

  #read(bytes: Buffer): void {
    const { acknowledge, content } = this.#options.handshake;
    const answer = acknowledge?.(bytes);
    if (answer !== undefined) this.#socket?.write(answer);
    const chunk = content === undefined ? bytes : content(bytes);
    if (this.#opening === undefined) {
      this.arrivals.read(chunk, nowUs());
      this.onRead?.();
      return;
    }
    const rest = this.#isHeadDone ? chunk : this.#readHead(chunk);
    if (rest === undefined) return;
    this.#awaitReady(rest);
    if (rest.length > 0) this.arrivals.read(rest, nowUs());
    this.onRead?.();
  }

  /** Returns the bytes behind the response head once it is complete. */
  #readHead(chunk: Buffer): Buffer | undefined {
    const text = this.#head + chunk.toString('latin1');
    const end = text.indexOf(headEnd);
    if (end < 0) {
      this.#head = text;
      return undefined;
    }
    const { handshake } = this.#options;
    if (!text.startsWith(`HTTP/1.1 ${handshake.status}`)) {
      this.#closed(new Error(`the server answered ${text.slice(0, 200)}`));
      this.close();
      return undefined;
    }
    this.#isHeadDone = true;
    if (handshake.then !== undefined) this.#socket?.write(handshake.then);
    const rest = chunk.subarray(end + headEnd.length - this.#head.length);
    this.#head = '';
    return rest;
  }

  #awaitReady(rest: Buffer): void {
    const { ready } = this.#options.handshake;
    if (ready !== undefined) {
      // Counted in whole text, since an answer may be cut between chunks.
      const text = this.#head + rest.toString('latin1');
      const pieces = text.split(ready.text);
      this.#readyLeft -= pieces.length - 1;
      this.#head = pieces.at(-1)!.slice(-ready.text.length + 1);
      if (this.#readyLeft > 0) return;
    }
    this.#head = '';
    this.isOpen = true;
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.resolve();
  }

  #closed(error: Error): void {
    this.isOpen = false;
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.reject(error);
  }
}
