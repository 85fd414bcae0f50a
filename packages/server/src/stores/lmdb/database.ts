import { statfsSync } from 'node:fs';
import { type Database as Lmdb, open, type RootDatabase } from 'lmdb';

const tableNames = [
  'blocks',
  'segments',
  'channels',
  'numbers',
  'publishIds',
  'publishLog',
  'retained',
  'records',
  'meta',
] as const;

export type TableName = (typeof tableNames)[number];

export interface Write {
  readonly table: TableName;
  readonly key: Buffer;
  /** `undefined` removes the row. */
  readonly value: Buffer | undefined;
}

export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface RowRange {
  /** Included, in either direction. */
  readonly from?: Buffer | undefined;
  /** Not included. */
  readonly to?: Buffer | undefined;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** The file, reduced to what the store needs. Reads see the newest commit, and all reads of one turn see the same. */
export interface Database {
  get(table: TableName, key: Buffer): Buffer | undefined;
  range(table: TableName, range: RowRange): Iterable<Row>;
  keys(table: TableName, range: RowRange): Iterable<Buffer>;
  /** How many rows there are; LMDB keeps the number. */
  count(table: TableName): number;
  /** All or none, on the disk when it resolves. */
  commit(writes: readonly Write[]): Promise<void>;
  /** Room left where the file is. */
  freeBytes(): number;
  /** Length of the file as LMDB uses it. It never gets shorter. */
  fileBytes(): number;
  /** Room inside the file: pages that hold nothing any more. LMDB takes them first, where they lie side by side. */
  reusableBytes(): number;
  close(): Promise<void>;
}

/** LMDB's own encodings are left alone: keys and values are bytes. */
const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;

export type OpenDatabase = (options: { readonly path: string }) => Database;

/** LMDB's name for a key is at most 1978 bytes with its 4 KiB pages. */
export const keyBytesMax = 1978;

export const openLmdb: OpenDatabase = ({ path }) => {
  const root = open<Buffer, Buffer>({
    path,
    ...binary,
    noSubdir: false,
    compression: false,
    maxDbs: tableNames.length + 1,
    // False: nothing can be read before it is durable. With the default a write is readable about one flush too early,
    // and stays readable after a flush that failed.
    overlappingSync: false,
    separateFlushed: false,
    // One commit is one `batch`; collecting over the turn of the event loop only adds 0.1 ms (measured).
    eventTurnBatching: false,
  });
  return new LmdbDatabase(path, root, openTables(root));
};

/** For looking at a folder that a server may be running on. Its `commit` throws. */
export function openLmdbToRead(path: string): Database {
  const root = open<Buffer, Buffer>({
    path,
    ...binary,
    noSubdir: false,
    readOnly: true,
    maxDbs: tableNames.length + 1,
  });
  return new LmdbDatabase(path, root, openTables(root));
}

function openTables(root: RootDatabase<Buffer, Buffer>): ReadonlyMap<TableName, Lmdb<Buffer, Buffer>> {
  return new Map(tableNames.map((name) => [name, root.openDB<Buffer, Buffer>({ name, ...binary })]));
}

class LmdbDatabase implements Database {
  readonly #path: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #tables: ReadonlyMap<TableName, Lmdb<Buffer, Buffer>>;

  constructor(
    path: string,
    root: RootDatabase<Buffer, Buffer>,
    tables: ReadonlyMap<TableName, Lmdb<Buffer, Buffer>>,
  ) {
    this.#path = path;
    this.#root = root;
    this.#tables = tables;
  }

  get(table: TableName, key: Buffer): Buffer | undefined {
    return this.#table(table).get(key);
  }

  range(table: TableName, range: RowRange): Iterable<Row> {
    return this.#table(table).getRange(rangeOptions(range));
  }

  keys(table: TableName, range: RowRange): Iterable<Buffer> {
    return this.#table(table).getKeys(rangeOptions(range));
  }

  count(table: TableName): number {
    return (this.#table(table).getStats() as { readonly entryCount: number }).entryCount;
  }

  async commit(writes: readonly Write[]): Promise<void> {
    try {
      await this.#root.batch(() => {
        for (const { table, key, value } of writes) {
          const rows = this.#table(table);
          // Their own promises are this batch's; the one of the batch is awaited.
          if (value === undefined) void rows.remove(key);
          else void rows.put(key, value);
        }
      });
    } catch (caught) {
      throw await causeOf(caught);
    }
  }

  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#path);
    return bavail * bsize;
  }

  fileBytes(): number {
    const { lastPageNumber, pageSize } = this.#root.getStats() as RootStats;
    return (lastPageNumber + 1) * pageSize;
  }

  reusableBytes(): number {
    const stats = this.#root.getStats() as RootStats;
    let usedPages = metaPages + pagesOf(stats) + pagesOf(stats.free);
    for (const table of this.#tables.values()) usedPages += pagesOf(table.getStats() as TableStats);
    return Math.max(0, stats.lastPageNumber + 1 - usedPages) * stats.pageSize;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #table(name: TableName): Lmdb<Buffer, Buffer> {
    return this.#tables.get(name)!;
  }
}

const metaPages = 2;

/** What lmdb tells about one table. */
interface TableStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface RootStats extends TableStats {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  /** LMDB's list of free pages, which is a table too. */
  readonly free: TableStats;
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TableStats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

function rangeOptions({ from, to, reverse, limit }: RowRange) {
  return {
    ...(from === undefined ? {} : { start: from }),
    ...(to === undefined ? {} : { end: to }),
    ...(reverse === undefined ? {} : { reverse }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/**
 * LMDB rejects a commit with an error without a reason, and gives the reason in a second promise. If nothing awaited
 * that one, its rejection would end the process.
 */
async function causeOf(caught: unknown): Promise<unknown> {
  if (!(caught instanceof Error) || !('commitError' in caught)) return caught;
  try {
    await caught.commitError;
    return caught;
  } catch (cause) {
    return cause;
  }
}

const fullCodes: ReadonlySet<unknown> = new Set([
  28 /* ENOSPC */,
  122 /* EDQUOT */,
  -30792 /* MDB_MAP_FULL */,
  'ENOSPC',
  'EDQUOT',
]);

const shortWriteCode = 5; /* EIO */
/** Room for the largest commit with the pages it copies. */
const roomBytesMin = 4 * 1024 * 1024;

/**
 * Whether a commit failed because there is no room, which is before anything was made durable. A write that only partly
 * fits is EIO in the words of LMDB, so with that the disk is asked.
 */
export function isFull(caught: unknown, path: string): boolean {
  if (!(caught instanceof Error) || !('code' in caught)) return false;
  if (fullCodes.has(caught.code)) return true;
  if (caught.code !== shortWriteCode) return false;
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize < roomBytesMin;
}

/**
 * Whether lmdb has written beyond its own memory. When a page cannot be written, lmdb 3.5.6 prints where into 104 bytes
 * (`last_error` in its mdb.c, measured with strace): a longer text has damaged the heap, and nothing that this process
 * does with the file can be trusted any more.
 */
export function hasDamagedHeap(caught: unknown): boolean {
  const text = caught instanceof Error ? /Attempting to write page .*/.exec(caught.message)?.[0] : undefined;
  return text !== undefined && text.length >= 104;
}
