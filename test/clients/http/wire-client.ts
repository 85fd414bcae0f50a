import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** One HTTP answer, read from a socket. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** A socket that counts what it got and knows when it ended; no HTTP library would send what these tests send. */
export class WireClient implements AsyncDisposable {
  readonly socket: Socket;
  #received = '';
  #isClosed = false;
  #changed: () => void = () => undefined;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#changed();
    });
    const close = (): void => {
      this.#isClosed = true;
      this.#changed();
    };
    // A server that has answered may cut what it does not read; that is a close like any other.
    this.socket.on('error', close).on('end', close).on('close', close);
  }

  get received(): string {
    return this.#received;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whole, or byte by byte with every byte in a separate segment. */
  async send(bytes: Buffer | string, bytewise = false): Promise<void> {
    const all = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1');
    if (!bytewise) {
      this.socket.write(all);
      return;
    }
    for (const byte of all) {
      if (this.#isClosed || !this.socket.writable) return;
      if (!this.socket.write(Buffer.of(byte))) await once(this.socket, 'drain').catch(() => undefined);
      await new Promise(setImmediate);
    }
  }

  /** Waits until `test` holds; it is asked whenever something arrives or the connection closes. */
  async until(test: (client: WireClient) => boolean): Promise<void> {
    while (!test(this)) {
      if (this.#isClosed)
        throw new Error(`the connection closed first; it had sent: ${this.#received.slice(0, 500)}`);
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  /** The next whole answer (by Content-Length), or what there is when the connection closes. */
  async answer(): Promise<Answer> {
    for (;;) {
      const answer = this.#takeAnswer();
      if (answer !== undefined) return answer;
      if (this.#isClosed) throw new Error(`closed without a whole answer: ${this.#received.slice(0, 300)}`);
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  #takeAnswer(): Answer | undefined {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return undefined;
    const [first, ...lines] = this.#received.slice(0, headEnd).split('\r\n');
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first!)?.[1]);
    const isBare = status === 204 || status === 304 || status < 200;
    const length = isBare ? 0 : Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY);
    const start = headEnd + 4;
    const available = this.#received.length - start;
    if (available < length && !(this.#isClosed && length === Number.POSITIVE_INFINITY)) return undefined;
    const end = Math.min(start + length, this.#received.length);
    const body = Buffer.from(this.#received.slice(start, end), 'latin1').toString();
    this.#received = this.#received.slice(end);
    return { status, headers, body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed();
  }
}

/** A GET over a new connection. */
export async function openGet(port: number, target: string, fields = ''): Promise<WireClient> {
  const client = new WireClient(port);
  await client.send(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`);
  return client;
}
