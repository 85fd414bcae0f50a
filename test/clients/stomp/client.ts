import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';

export interface ClientFrame {
  readonly command: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

type HeaderFields = Readonly<Record<string, string>>;

/** How long a test waits for what must come. */
const patienceMs = 10_000;

/**
 * A client that says what the test says, byte for byte, and reads without a line of the server's code. Header values are
 * as they came: nothing is unescaped.
 */
export class StompClient {
  readonly frames: ClientFrame[] = [];
  /** When set, frames go there and are not kept. */
  onFrame: ((frame: ClientFrame) => void) | undefined;
  onClosed: (() => void) | undefined;
  /** Ends of lines between frames. */
  beats = 0;
  /** Kinds of the WebSocket messages that came, in order. */
  readonly kinds: ('text' | 'binary')[] = [];
  isClosed = false;
  closeCode: number | undefined;
  readonly #write: (bytes: Buffer, isText: boolean) => void;
  readonly #cut: () => void;
  readonly #end: () => void;
  readonly pause: () => void;
  readonly resume: () => void;
  #rest: Buffer = Buffer.alloc(0);
  #taken = 0;
  readonly #watchers = new Set<() => void>();

  private constructor(ways: {
    readonly write: (bytes: Buffer, isText: boolean) => void;
    readonly cut: () => void;
    readonly end: () => void;
    readonly pause: () => void;
    readonly resume: () => void;
  }) {
    this.#write = ways.write;
    this.#cut = ways.cut;
    this.#end = ways.end;
    this.pause = ways.pause;
    this.resume = ways.resume;
  }

  /** `stomp://host:port`, or `http://host:port` for WebSocket at `/stomp`. */
  static async open(url: string, protocols: readonly string[] = []): Promise<StompClient> {
    return url.startsWith('stomp:') ? StompClient.#openTcp(url) : StompClient.#openWebSocket(url, protocols);
  }

  static async #openTcp(url: string): Promise<StompClient> {
    const { hostname, port } = new URL(url.replace(/^stomp/, 'http'));
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    const client = new StompClient({
      write: (bytes) => socket.write(bytes),
      cut: () => socket.resetAndDestroy(),
      end: () => socket.end(),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    });
    socket.on('data', (bytes: Buffer) => client.#take(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => client.#closed());
    return client;
  }

  static async #openWebSocket(url: string, protocols: readonly string[]): Promise<StompClient> {
    const address = new URL(url.replace(/^http/, 'ws'));
    address.pathname = '/stomp';
    const socket = new WebSocket(address, [...protocols], {
      perMessageDeflate: false,
    });
    const client = new StompClient({
      write: (bytes, isText) => socket.send(bytes, { binary: !isText }),
      cut: () => socket.terminate(),
      end: () => socket.close(),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    });
    socket.on('message', (data: Buffer, isBinary) => {
      client.kinds.push(isBinary ? 'binary' : 'text');
      client.#take(data);
    });
    socket.on('close', (code) => {
      client.closeCode = code;
      client.#closed();
    });
    await once(socket, 'open');
    socket.on('error', () => undefined);
    return client;
  }

  /** CONNECT and what answers it. */
  async connect(headers: HeaderFields = {}): Promise<ClientFrame> {
    this.send('CONNECT', { 'accept-version': '1.0,1.1,1.2', host: 'test', ...headers });
    return this.next();
  }

  send(command: string, headers: HeaderFields = {}, body: Buffer | string = ''): void {
    this.write(encode(command, headers, body));
  }

  write(given: Buffer | string): void {
    const bytes = Buffer.from(given as string);
    if (!this.isClosed) this.#write(bytes, isUtf8(bytes));
  }

  /** Sends with a receipt asked for, and waits for it; other frames that come meanwhile stay to be taken. */
  async ask(command: string, headers: HeaderFields = {}, body: Buffer | string = ''): Promise<ClientFrame> {
    const receipt = `r${(receipts += 1)}`;
    this.send(command, { ...headers, receipt }, body);
    const isAnswer = (frame: ClientFrame): boolean =>
      frame.headers['receipt-id'] === receipt || frame.command === 'ERROR';
    await this.until(() => this.frames.slice(this.#taken).some(isAnswer));
    const at = this.frames.findIndex((frame, index) => index >= this.#taken && isAnswer(frame));
    return this.frames.splice(at, 1)[0]!;
  }

  /** The next frame. */
  async next(): Promise<ClientFrame> {
    await this.until(() => this.frames.length > this.#taken);
    this.#taken += 1;
    return this.frames[this.#taken - 1]!;
  }

  async take(count: number): Promise<ClientFrame[]> {
    const taken: ClientFrame[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** Bodies of the next messages, as text. */
  async bodies(count: number): Promise<string[]> {
    return (await this.take(count)).map(({ body }) => body.toString());
  }

  async closed(): Promise<void> {
    await this.until(() => this.isClosed);
  }

  /** The ERROR that ends the connection, with everything before it skipped. */
  async error(): Promise<ClientFrame> {
    await this.closed();
    const error = this.frames.at(-1);
    if (error?.command !== 'ERROR') throw new Error(`no ERROR, but ${JSON.stringify(this.frames.at(-1))}`);
    return error;
  }

  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      reject(new Error(`waited in vain; last: ${JSON.stringify(this.frames.slice(-3).map(describeFrame))}`));
    }, patienceMs);
    const look = (): void => {
      if (isSo()) resolve(undefined);
      else if (this.isClosed)
        reject(new Error(`closed; last: ${JSON.stringify(this.frames.slice(-3).map(describeFrame))}`));
    };
    this.#watchers.add(look);
    look();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(look);
    }
  }

  /** FIN, or a Close frame. */
  end(): void {
    this.#end();
  }

  /** RST, or no Close frame. */
  cut(): void {
    this.#cut();
  }

  #closed(): void {
    this.isClosed = true;
    this.onClosed?.();
    for (const look of this.#watchers) look();
  }

  #take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#takeFrame());
    for (const look of this.#watchers) look();
  }

  #takeFrame(): boolean {
    while (this.#rest[0] === 0x0a) {
      this.beats += 1;
      this.#rest = this.#rest.subarray(1);
    }
    const headEnd = this.#rest.indexOf('\n\n');
    if (headEnd < 0) return false;
    const [command, ...lines] = this.#rest.subarray(0, headEnd).toString().split('\n');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon)] ??= line.slice(colon + 1);
    }
    const bodyAt = headEnd + 2;
    const length = headers['content-length'];
    const end = length === undefined ? this.#rest.indexOf(0, bodyAt) : bodyAt + Number(length);
    if (end < 0 || this.#rest.length <= end) return false;
    if (this.#rest[end] !== 0) throw new Error(`no NUL behind ${String(command)}`);
    const frame = { command: command!, headers, body: Buffer.from(this.#rest.subarray(bodyAt, end)) };
    if (this.onFrame === undefined) this.frames.push(frame);
    else this.onFrame(frame);
    this.#rest = this.#rest.subarray(end + 1);
    return true;
  }
}

let receipts = 0;

export function encode(command: string, headers: HeaderFields = {}, body: Buffer | string = ''): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  return Buffer.concat([
    Buffer.from(`${command}\n${lines.join('')}\n`),
    Buffer.from(body as string),
    Buffer.alloc(1),
  ]);
}

function describeFrame({ command, headers, body }: ClientFrame): object {
  return { command, headers, body: body.toString().slice(0, 80) };
}
