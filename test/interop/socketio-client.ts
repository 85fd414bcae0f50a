import { io, type Socket } from 'socket.io-client';
import type { GapNotice } from '@everywire/protocol';

export type Wires = readonly ('polling' | 'websocket')[];

/** How the client library reaches a server: the two alone, and the one on the way to the other, which is its default. */
export const ways: readonly { readonly name: string; readonly transports: Wires }[] = [
  { name: 'websocket', transports: ['websocket'] },
  { name: 'polling', transports: ['polling'] },
  { name: 'polling, then websocket', transports: ['polling', 'websocket'] },
];

/** What a delivery says beside its data. */
export interface Meta {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly time: string;
  readonly event?: string;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

export interface Answer {
  readonly ok: boolean;
  readonly cursor: string;
  readonly offset: number;
  readonly id: string;
  readonly duplicate?: true;
  readonly continuity?: 'exact' | 'gap';
  readonly gap?: GapNotice;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface Arrived {
  readonly event: string;
  readonly data: unknown;
  readonly meta: Meta;
  /** The last argument. */
  readonly cursor: string;
}

export interface ClientOptions {
  readonly transports?: Wires;
  readonly auth?: Readonly<Record<string, unknown>>;
  readonly reconnection?: boolean;
}

/** The parts of the library's client that its types do not show. */
interface ClientParts {
  readonly _lastOffset?: string;
  readonly _pid?: string;
}

/** `socket.io-client` as applications use it, with what it received in the order in which it came. */
export class IoClient {
  readonly socket: Socket;
  readonly arrived: Arrived[] = [];
  #waiting: readonly { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(
    url: string,
    { transports = ['websocket'], auth = {}, reconnection = false }: ClientOptions = {},
  ) {
    this.socket = io(url, {
      transports: [...transports],
      auth,
      reconnection,
      reconnectionDelay: 10,
      reconnectionDelayMax: 50,
      forceNew: true,
    });
    this.socket.onAny((event: string, ...args: unknown[]) => {
      if (event.startsWith('everywire.')) return;
      const [data, meta, cursor] = args as [unknown, Meta, string];
      this.arrived.push({ event, data, meta, cursor });
      const due = this.#waiting.filter(({ count }) => this.arrived.length >= count);
      this.#waiting = this.#waiting.filter((one) => !due.includes(one));
      for (const { resolve } of due) resolve();
    });
  }

  static async connect(url: string, options?: ClientOptions): Promise<IoClient> {
    const client = new IoClient(url, options);
    await client.connected();
    return client;
  }

  /** Resolves once the server let it in; rejects with what it said otherwise. */
  connected(): Promise<void> {
    if (this.socket.connected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('connect_error', reject);
    });
  }

  get lastOffset(): string | undefined {
    return (this.socket as unknown as ClientParts)._lastOffset;
  }

  get pid(): string | undefined {
    return (this.socket as unknown as ClientParts)._pid;
  }

  /** `websocket` or `polling`, as it is now. */
  get wire(): string {
    return this.socket.io.engine.transport.name;
  }

  command(event: string, ...args: readonly unknown[]): Promise<Answer> {
    return this.socket.timeout(10_000).emitWithAck(event, ...args) as Promise<Answer>;
  }

  /** Resolves when so many have arrived in all. */
  until(count: number): Promise<void> {
    if (this.arrived.length >= count) return Promise.resolve();
    return new Promise((resolve) => (this.#waiting = [...this.#waiting, { count, resolve }]));
  }

  /** Cuts the connection under the library, which takes it for a broken network. */
  cut(): void {
    this.socket.io.engine.close();
  }

  close(): void {
    this.socket.close();
  }
}

/** Publishes like a client without Socket.IO. */
export async function post(
  url: string,
  channel: string,
  payload: string | Buffer,
  type = 'text/plain',
  event?: string,
): Promise<{ readonly cursor: string; readonly offset: number }> {
  const headers = { 'content-type': type, ...(event === undefined ? {} : { 'everywire-event': event }) };
  const body = typeof payload === 'string' ? payload : new Uint8Array(payload);
  const response = await fetch(`${url}/channels/${channel}`, { method: 'POST', headers, body });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as { readonly cursor: string; readonly offset: number };
}
