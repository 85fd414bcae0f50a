import type { ChannelNames } from './names.ts';
import type { Link } from './link.ts';
import type { LogReader } from './log-reader.ts';
import { adapterLimits } from './options.ts';
import type { Envelope } from './packets.ts';

/** What a socket is made of again, in another process if need be: the newest message of the session's channel. */
export interface SessionRecord {
  readonly sid: string;
  /** Each room with the place in the log at which it was joined, as far as it is known: what came before was not missed. */
  readonly rooms: readonly (readonly [room: string, joinedAt: string | null])[];
  readonly data: unknown;
  /** The adapter that has, or had, the socket. */
  readonly owner: string;
  /** Milliseconds since 1970; absent while it is connected, and when its process was killed. */
  readonly disconnectedAtMs?: number;
}

export interface SessionsParts {
  readonly names: ChannelNames;
  readonly link: Link;
  readonly reader: LogReader;
  /** Level of the Socket.IO namespace. */
  readonly namespace: string;
  readonly disconnectedMsMax: number;
  readonly onFailed: (detail: string, cause: unknown) => void;
}

/** The sessions of one namespace that can be recovered, in the log. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #expiry = new Map<string, NodeJS.Timeout>();
  /** The save under way of each session: it must not come after the removal, and bring the session back. */
  readonly #saving = new Map<string, Promise<void>>();
  readonly #end = new AbortController();

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Stores the record; of a session that is disconnected, until it cannot be recovered any more. */
  save(hash: string, record: SessionRecord): void {
    const { link, disconnectedMsMax, onFailed } = this.#parts;
    this.#keep(hash);
    const publication = { payload: JSON.stringify(record), event: undefined, meta: undefined };
    const saving = link
      .publish(this.#channel(hash), publication)
      .catch((error: unknown) => {
        onFailed('A session was not saved and cannot be recovered.', error);
      })
      .finally(() => {
        if (this.#saving.get(hash) === saving) this.#saving.delete(hash);
      });
    this.#saving.set(hash, saving);
    if (record.disconnectedAtMs === undefined) return;
    const timer = setTimeout(() => {
      this.remove(hash);
    }, disconnectedMsMax);
    this.#expiry.set(hash, timer.unref());
  }

  /** It lives on in another socket, here or elsewhere, so it does not expire here. */
  release(hash: string): void {
    this.#keep(hash);
  }

  remove(hash: string): void {
    const { reader, onFailed } = this.#parts;
    this.#keep(hash);
    const signal = AbortSignal.any([this.#end.signal, AbortSignal.timeout(adapterLimits.restoreTimeoutMs)]);
    const saved = this.#saving.get(hash) ?? Promise.resolve();
    saved
      .then(() => reader.remove(this.#channel(hash), signal))
      .catch((error: unknown) => {
        if (!this.#end.signal.aborted) onFailed('A session that ended was not removed.', error);
      });
  }

  /** `undefined` when there is none, or when it was left too long ago. @throws when `signal` aborts. */
  async find(hash: string, signal: AbortSignal): Promise<SessionRecord | undefined> {
    const record = recordOf(await this.#parts.reader.newest(this.#channel(hash), signal));
    const leftAtMs = record?.disconnectedAtMs;
    return leftAtMs !== undefined && leftAtMs + this.#parts.disconnectedMsMax < Date.now()
      ? undefined
      : record;
  }

  /**
   * Removes what was left too long ago by processes that are gone, and marks as left what they had when they were killed.
   * For one process of the cluster.
   */
  async sweep(isAlive: (owner: string) => boolean): Promise<void> {
    const { reader, names, namespace } = this.#parts;
    const filter = names.session(namespace, '*');
    const { signal } = this.#end;
    let after: string | undefined;
    do {
      const page = await reader.channels(filter, after, signal);
      for (const { channel } of page?.channels ?? []) await this.#sweepOne(channel, isAlive, signal);
      after = page?.next;
    } while (after !== undefined);
  }

  close(): void {
    this.#end.abort();
    for (const timer of this.#expiry.values()) clearTimeout(timer);
    this.#expiry.clear();
  }

  async #sweepOne(channel: string, isAlive: (owner: string) => boolean, signal: AbortSignal): Promise<void> {
    const { reader, disconnectedMsMax } = this.#parts;
    const message = await reader.newest(channel, signal);
    const record = recordOf(message);
    if (record !== undefined && isAlive(record.owner)) return;
    const leftAtMs = record?.disconnectedAtMs;
    if (record !== undefined && leftAtMs === undefined) {
      this.save(channel.slice(channel.lastIndexOf('/') + 1), { ...record, disconnectedAtMs: Date.now() });
    } else if (leftAtMs === undefined || leftAtMs + disconnectedMsMax < Date.now()) {
      await reader.remove(channel, signal);
    }
  }

  #keep(hash: string): void {
    clearTimeout(this.#expiry.get(hash));
    this.#expiry.delete(hash);
  }

  #channel(hash: string): string {
    return this.#parts.names.session(this.#parts.namespace, hash);
  }
}

function recordOf(message: Envelope | undefined): SessionRecord | undefined {
  const record = message?.data as Partial<SessionRecord> | null | undefined;
  if (record === null || typeof record !== 'object') return undefined;
  const isRecord =
    typeof record.sid === 'string' &&
    typeof record.owner === 'string' &&
    Array.isArray(record.rooms) &&
    record.rooms.every((pair) => Array.isArray(pair) && typeof pair[0] === 'string');
  return isRecord ? (record as SessionRecord) : undefined;
}
