import { parseCursor } from '@everywire/protocol';
import type { HistoryChecker } from '../faults/checker/checker.ts';
import { nowNs, sightingOf } from '../faults/server/hopping-reader.ts';
import { IoClient, type Meta, type Wires } from './socketio-client.ts';

interface RecovererOptions {
  readonly name: string;
  readonly url: string;
  readonly filters: readonly string[];
  readonly way: { readonly transports: Wires };
  readonly checker: HistoryChecker;
}

/** A client that follows once, and then lets the library come back. Its deliveries go to the history checker. */
export class Recoverer {
  readonly #options: RecovererOptions;
  readonly #client: IoClient;
  #seq = 0;
  recoveries = 0;
  /** Returns after which the client had a gap, or was a new client for the server. */
  readonly failures: string[] = [];

  private constructor(options: RecovererOptions) {
    this.#options = options;
    const { url, way } = options;
    this.#client = new IoClient(url, { transports: way.transports, reconnection: true });
    const { socket } = this.#client;
    socket.on('connect', () => {
      if (this.#client.pid === undefined || this.#seq === 0) return;
      if (socket.recovered) this.recoveries += 1;
      else this.failures.push('came back as a new client');
      this.#begins();
    });
    socket.on('message', (data: string, meta: Meta) => {
      this.#seq = parseCursor(meta.cursor)!.seq;
      const sighting = sightingOf({ ...meta, data });
      options.checker.record({ kind: 'delivered', atNs: nowNs(), subscriber: options.name, ...sighting });
    });
    socket.on('everywire.gap', (gap: unknown) => this.failures.push(JSON.stringify(gap)));
  }

  static async begin(options: RecovererOptions): Promise<Recoverer> {
    const recoverer = new Recoverer(options);
    const client = recoverer.#client;
    await client.connected();
    for (const filter of options.filters) {
      const answer = await client.command('subscribe', filter);
      if (!answer.ok) throw new Error(`refused: ${answer.error?.code}`);
      recoverer.#seq = Math.max(recoverer.#seq, parseCursor(answer.cursor)!.seq);
    }
    recoverer.#begins();
    return recoverer;
  }

  connected(): Promise<void> {
    const { socket } = this.#client;
    if (socket.connected) return Promise.resolve();
    return new Promise((resolve) => socket.once('connect', resolve));
  }

  /** The transport as it is now. */
  get wire(): string {
    return this.#client.wire;
  }

  /** Resolves once it has been given everything that was stored when this was called. */
  async untilRead(): Promise<void> {
    const { url, filters } = this.#options;
    const heads = await Promise.all(filters.map((filter) => headOf(url, filter)));
    const head = Math.max(...heads);
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.#seq < head) return;
        this.#client.socket.off('message', look);
        resolve();
      };
      // Behind the listener that takes note of the message.
      this.#client.socket.on('message', look);
      look();
    });
  }

  stop(): void {
    this.#client.close();
  }

  #begins(): void {
    const { checker, name, filters } = this.#options;
    checker.record({ kind: 'start', atNs: nowNs(), subscriber: name, filters, afterSeq: this.#seq });
  }
}

/** The seq of the newest message. */
async function headOf(url: string, filter: string): Promise<number> {
  const response = await fetch(`${url}/channels/${filter}?limit=1`);
  const page = (await response.json()) as { readonly messages: readonly { readonly cursor: string }[] };
  const newest = page.messages.at(-1);
  return newest === undefined ? 0 : parseCursor(newest.cursor)!.seq;
}
