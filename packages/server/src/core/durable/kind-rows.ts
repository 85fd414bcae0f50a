import { EverywireError } from '@everywire/protocol';
import type { RecordRow, RecordStore, RecordWrite } from '../seams/store.ts';
import type { Log } from '../seams/log.ts';
import type { DurableKind, Found } from './kind.ts';
import { mayBeDelivered } from './progress.ts';
import {
  decodeRow,
  decodeWindow,
  encodeRow,
  encodeWindow,
  type Decoded,
  type DurableRow,
  type WindowRow,
} from './row.ts';

const pageRows = 1_000;

/** A session, read from its rows. */
export interface Loaded<State, Window> {
  readonly row: DurableRow;
  readonly found: Found<State, Window>;
}

/** Reads the rows of one kind of session, written by this version or an earlier one, and makes them. */
export class KindRows<State, Window> {
  /** Rows that could not be read since the start. */
  unreadable = 0;
  readonly #kind: DurableKind<State, Window>;
  readonly #records: RecordStore;
  readonly #log: Log;

  constructor(kind: DurableKind<State, Window>, records: RecordStore, log: Log) {
    this.#kind = kind;
    this.#records = records;
    this.#log = log;
  }

  /**
   * @param openThroughSeq what may have been delivered if its holder did not leave the session
   * @throws EverywireError `internal` where an unreadable row refuses
   */
  async load(key: string, openThroughSeq: number): Promise<Loaded<State, Window> | undefined> {
    const { table, windowTable, partsTable, unreadable } = this.#kind;
    const bytes = await this.#records.get(table, key);
    if (bytes === undefined) return undefined;
    const decoded = this.decode(key, bytes);
    if (decoded === undefined) {
      if (unreadable === 'refuse') {
        throw new EverywireError(
          'internal',
          'The stored state of this session was written by another version that this server cannot read.',
        );
      }
      return undefined;
    }
    const { row } = decoded;
    const windowBytes = windowTable === undefined ? undefined : await this.#records.get(windowTable, key);
    const window = windowBytes && this.#decodeWindow(key, windowBytes);
    const through = Math.max(row.maybeDeliveredThroughSeq, row.presence === 'open' ? openThroughSeq : 0);
    const found: Found<State, Window> = {
      subject: row.subject,
      rights: row.rights,
      subscriptions: mayBeDelivered(window?.subscriptions ?? row.subscriptions, through),
      state: decoded.state,
      window: window?.state,
      parts: partsTable === undefined ? noParts : await this.#parts(partsTable, key),
    };
    return { row, found };
  }

  /** `undefined` for one that cannot be read, which is counted and logged. */
  decode(key: string, bytes: Buffer): { readonly row: DurableRow; readonly state: State } | undefined {
    const row = this.#read(this.#kind.table, key, decodeRow(bytes), () => this.#kind.earlier?.(bytes, key));
    if (row === undefined) return undefined;
    const state = this.#kind.readState(row.state);
    if (state === undefined) {
      this.#report(this.#kind.table, key, 'its state is of another shape');
      return undefined;
    }
    const { keepMs = row.keepMs ?? this.#kind.keepMsDefault } = this.#kind;
    return { row: keepMs === row.keepMs ? row : { ...row, keepMs }, state };
  }

  rowWrite(key: string, row: DurableRow, token: string): RecordWrite {
    return { table: this.#kind.table, key, value: encodeRow(row, token) };
  }

  windowWrite(key: string, row: WindowRow): RecordWrite {
    return { table: this.#kind.windowTable!, key, value: encodeWindow(row) };
  }

  partWrite(key: string, part: string, value: Buffer | undefined): RecordWrite {
    return { table: this.#kind.partsTable!, key: `${key}/${part}`, value };
  }

  /** The writes that remove the rows of a session, except its parts. */
  removal(key: string): RecordWrite[] {
    const { table, windowTable } = this.#kind;
    const writes: RecordWrite[] = [{ table, key, value: undefined }];
    if (windowTable !== undefined) writes.push({ table: windowTable, key, value: undefined });
    return writes;
  }

  async wholeRemoval(key: string): Promise<RecordWrite[]> {
    const { partsTable } = this.#kind;
    const parts = partsTable === undefined ? noParts : await this.#parts(partsTable, key);
    return [...this.removal(key), ...[...parts.keys()].map((part) => this.partWrite(key, part, undefined))];
  }

  /** All rows in key order, with or without those that are written meanwhile. */
  async *pages(rowsPerPage = pageRows): AsyncGenerator<readonly RecordRow[]> {
    for (let after: string | undefined; ;) {
      const rows = await this.#records.list(this.#kind.table, '', after, rowsPerPage);
      if (rows.length > 0) yield rows;
      if (rows.length < rowsPerPage) return;
      after = rows.at(-1)!.key;
    }
  }

  #decodeWindow(
    key: string,
    bytes: Buffer,
  ): { readonly subscriptions: WindowRow['subscriptions']; readonly state: Window | undefined } | undefined {
    const { windowTable, earlierWindow, readWindow } = this.#kind;
    const row = this.#read(windowTable!, key, decodeWindow(bytes), () => earlierWindow?.(bytes));
    if (row === undefined) return undefined;
    const state = readWindow?.(row.state);
    if (state === undefined && readWindow !== undefined) {
      this.#report(windowTable!, key, 'its state is of another shape');
    }
    return { subscriptions: row.subscriptions, state };
  }

  #read<Row>(
    table: string,
    key: string,
    decoded: Decoded<Row>,
    earlier: () => Row | undefined,
  ): Row | undefined {
    if (decoded.kind === 'row') return decoded.row;
    const row = decoded.kind === 'earlier' ? earlier() : undefined;
    if (row === undefined) {
      this.#report(
        table,
        key,
        decoded.kind === 'unreadable' ? decoded.reason : 'no version wrote such a row',
      );
    }
    return row;
  }

  #report(table: string, key: string, reason: string): void {
    this.unreadable += 1;
    this.#log.error({ table, key, reason }, 'a row of a durable session cannot be read');
  }

  async #parts(table: string, key: string): Promise<ReadonlyMap<string, Buffer>> {
    const found = new Map<string, Buffer>();
    const prefix = `${key}/`;
    for (let after: string | undefined; ;) {
      const rows = await this.#records.list(table, prefix, after, pageRows);
      for (const { key: partKey, value } of rows) found.set(partKey.slice(prefix.length), value);
      if (rows.length < pageRows) return found;
      after = rows.at(-1)!.key;
    }
  }
}

const noParts: ReadonlyMap<string, Buffer> = new Map();
