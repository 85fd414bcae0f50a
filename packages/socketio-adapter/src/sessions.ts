import type { Envelope } from '@everywire/protocol';
import type { ChannelNames } from './names.ts';
import type { Link } from './link.ts';
import type { LogReader } from './log-reader.ts';
import { adapterLimits } from './options.ts';

/** The state from which any process can make the socket again: the newest message of the session's channel. */
export interface SessionRecord {
  readonly sid: string;
  /** Each room with the cursor at which it was joined, if known: the session did not miss earlier messages of the room. */
  readonly rooms: readonly (readonly [room: string, joinedAt: string | null])[];
  readonly data: unknown;
  /** `uid` of the adapter that has, or had, the socket. */
  readonly owner: string;
  /** Milliseconds since 1970; absent while the socket is connected, and when its process was killed. */
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

/** The recoverable sessions of one namespace, as channels of the log. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #expiry = new Map<string, NodeJS.Timeout>();
  /** The last save of each session that is in progress. A removal waits for it, or the save would bring the session back. */
  readonly #saving = new Map<string, Promise<void>>();
  readonly #end = new AbortController();

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Stores the record. The record of a disconnected session is removed when it cannot be recovered any more. */
  save(hash: string, record: SessionRecord): void {
    const { link, disconnectedMsMax, onFailed } = this.#parts;
    this.#cancelExpiry(hash);
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

  /** The session continues in another socket, here or in another process, so it does not expire here. */
  release(hash: string): void {
    this.#cancelExpiry(hash);
  }

  remove(hash: string): void {
    const { reader, onFailed } = this.#parts;
    this.#cancelExpiry(hash);
    const signal = AbortSignal.any([this.#end.signal, AbortSignal.timeout(adapterLimits.restoreTimeoutMs)]);
    const saved = this.#saving.get(hash) ?? Promise.resolve();
    saved
      .then(() => reader.remove(this.#channel(hash), signal))
      .catch((error: unknown) => {
        if (!this.#end.signal.aborted) onFailed('A session that ended was not removed.', error);
      });
  }

  /** `undefined` for an unknown session, and one that was disconnected for too long. @throws when `signal` aborts */
  async find(hash: string, signal: AbortSignal): Promise<SessionRecord | undefined> {
    const record = recordOf(await this.#parts.reader.newest(this.#channel(hash), signal));
    const disconnectedAtMs = record?.disconnectedAtMs;
    return disconnectedAtMs !== undefined && disconnectedAtMs + this.#parts.disconnectedMsMax < Date.now()
      ? undefined
      : record;
  }

  /**
   * Removes sessions of dead processes that were disconnected for too long. Marks the sessions that were connected when
   * their process was killed as disconnected now. One process of the cluster calls it.
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
    const disconnectedAtMs = record?.disconnectedAtMs;
    if (record !== undefined && disconnectedAtMs === undefined) {
      this.save(channel.slice(channel.lastIndexOf('/') + 1), { ...record, disconnectedAtMs: Date.now() });
    } else if (disconnectedAtMs === undefined || disconnectedAtMs + disconnectedMsMax < Date.now()) {
      await reader.remove(channel, signal);
    }
  }

  #cancelExpiry(hash: string): void {
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
