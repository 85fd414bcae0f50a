import type { Clock, Timer } from '../../core/clock.ts';
import type { RecordRow, RecordStore, RecordWrite } from '../../core/seams/store.ts';
import type { Log } from '../../core/seams/log.ts';
import { decodeHead, decodeWindow, encodeWindow, tables, type Head, type WindowRow } from './rows.ts';
import type { SessionState } from './state.ts';

/** A session whose window is written as it moves. */
export interface Saved {
  readonly key: string;
  readonly state: SessionState;
}

export interface StoredSession {
  readonly head: Head;
  readonly window: WindowRow | undefined;
  /** Packet ids that came at QoS 2 and were not released. */
  readonly received: readonly number[];
}

/** Acknowledgements of QoS 1 may be forgotten by a crash, at the price of a redelivery: many are written together. */
const saveEveryMs = 50;
const pageRows = 1_000;

/** The rows of sessions: read, written at once, or written soon together with others. */
export class SessionRecords {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #unsaved = new Set<Saved>();
  #timer: Timer | undefined;

  constructor(records: RecordStore, clock: Clock, log: Log) {
    this.#records = records;
    this.#clock = clock;
    this.#log = log;
  }

  async load(key: string): Promise<StoredSession | undefined> {
    const head = await this.#records.get(tables.head, key);
    if (head === undefined) return undefined;
    const window = await this.#records.get(tables.window, key);
    return {
      head: decodeHead(head),
      window: window && decodeWindow(window),
      received: await this.#received(key),
    };
  }

  /** All or none, durable when it resolves. Calls take effect in their order. */
  async write(writes: readonly RecordWrite[]): Promise<void> {
    if (writes.length > 0) await this.#records.write(writes);
  }

  /** The window as it is now. */
  windowWrite({ key, state }: Saved): RecordWrite {
    return { table: tables.window, key, value: encodeWindow(state) };
  }

  /** Writes the window within a moment. */
  saveSoon(session: Saved): void {
    this.#unsaved.add(session);
    if (this.#timer === undefined) this.#timer = this.#clock.after(saveEveryMs, this.#save);
  }

  /** It is written otherwise, or is gone. */
  forget(session: Saved): void {
    this.#unsaved.delete(session);
  }

  /** What removes all rows of a session. */
  async removal(key: string): Promise<RecordWrite[]> {
    const received = await this.#received(key);
    return [
      { table: tables.head, key, value: undefined },
      { table: tables.window, key, value: undefined },
      ...received.map((packetId) => receivedWrite(key, packetId, false)),
    ];
  }

  async *heads(): AsyncGenerator<readonly [key: string, head: Head]> {
    for (let after: string | undefined; ;) {
      const rows = await this.#records.list(tables.head, '', after, pageRows);
      for (const row of rows) {
        const head = this.#readable(row);
        if (head !== undefined) yield [row.key, head];
      }
      if (rows.length < pageRows) return;
      after = rows.at(-1)!.key;
    }
  }

  readonly #save = (): void => {
    this.#timer = undefined;
    const writes = [...this.#unsaved].map((session) => this.windowWrite(session));
    this.#unsaved.clear();
    this.write(writes).catch((cause: unknown) => {
      this.#log.warn(
        { err: cause },
        'positions of MQTT sessions could not be saved; they are with the next change',
      );
    });
  };

  #readable({ key, value }: RecordRow): Head | undefined {
    try {
      return decodeHead(value);
    } catch (cause) {
      this.#log.error({ err: cause, key }, 'an MQTT session cannot be read; it is left as it is');
      return undefined;
    }
  }

  async #received(key: string): Promise<readonly number[]> {
    const found: number[] = [];
    for (let after: string | undefined; ;) {
      const rows = await this.#records.list(tables.received, `${key}/`, after, pageRows);
      for (const row of rows) found.push(Number(row.key.slice(key.length + 1)));
      if (rows.length < pageRows) return found;
      after = rows.at(-1)!.key;
    }
  }
}

const present = Buffer.from([1]);

/** That a PUBLISH with this id came at QoS 2 and awaits its PUBREL, or does no more. */
export function receivedWrite(key: string, packetId: number, isThere: boolean): RecordWrite {
  return { table: tables.received, key: `${key}/${packetId}`, value: isThere ? present : undefined };
}
