import { WebSocket } from 'ws';

/** One side of Engine.IO by hand: sends the packets of a test and keeps all answers, without the checks of a client library. */
export class EnginePeer {
  readonly #socket: WebSocket;
  readonly #came: (string | Buffer)[] = [];
  readonly #waiting: ((message: string | Buffer) => void)[] = [];
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  readonly opened: Promise<boolean>;

  constructor(url: string) {
    this.#socket = new WebSocket(url);
    this.#socket.on('message', (data: Buffer, isBinary: boolean) => {
      const message = isBinary ? data : data.toString();
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#came.push(message);
      else waiting(message);
    });
    this.#socket.on('error', () => undefined);
    this.opened = new Promise((resolve) => {
      this.#socket.once('open', () => resolve(true));
      this.#socket.once('close', () => resolve(false));
    });
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (code: number) => {
        for (const waiting of this.#waiting.splice(0)) waiting('closed');
        resolve(code);
      });
    });
  }

  send(...messages: readonly (string | Buffer)[]): void {
    for (const message of messages) this.#socket.send(message);
  }

  /** The next message, or `closed`. */
  next(): Promise<string | Buffer> {
    const came = this.#came.shift();
    if (came !== undefined) return Promise.resolve(came);
    if (this.#socket.readyState === WebSocket.CLOSED) return Promise.resolve('closed');
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next message that is no ping; pings are answered. */
  async nextBesidePings(): Promise<string | Buffer> {
    for (;;) {
      const message = await this.next();
      if (message !== '2') return message;
      this.send('3');
    }
  }

  end(): void {
    this.#socket.terminate();
  }
}
