import { registerHooks } from 'node:module';

interface Edit {
  /** How the file's URL ends. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const commit = 'stores/lmdb/commit-loop.ts';
const database = 'stores/lmdb/database.ts';
const publishIds = 'stores/lmdb/publish-ids.ts';
const opened = 'stores/lmdb/opened-log.ts';
const record = 'stores/lmdb/record.ts';
const rows = 'stores/lmdb/rows.ts';
const store = 'stores/lmdb/store.ts';

/** One bug each, as a change of the source while it is loaded. A text that is not there exactly once is an error. */
const sabotages: ReadonlyMap<string, readonly Edit[]> = new Map<string, readonly Edit[]>([
  [
    'ack before flush',
    [
      {
        file: commit,
        find: 'await this.#watched(this.#steps.store(batch));',
        replace:
          'for (const answer of answers.splice(0)) answer(); await this.#watched(this.#steps.store(batch));',
      },
    ],
  ],
  [
    'fan-out before flush',
    [
      {
        file: store,
        find: 'store: (batch) => this.#log.store(batch),',
        replace: 'store: (batch) => { batch.tell(this.#feed!); return this.#log.store(batch); },',
      },
      { file: store, find: 'if (this.#feed !== undefined) batch.tell(this.#feed);', replace: '' },
    ],
  ],
  [
    'dedup ids in memory only',
    [
      {
        file: publishIds,
        find: "this.#writes.push({ table: 'publishIds', key, value: seal(key, encodePublish(row)) });",
        replace: '(globalThis.idsInMemory ??= new Map()).set(key.toString(), row);',
      },
      {
        file: publishIds,
        find: "const row = this.#base.database.get('publishIds', key);",
        replace: 'const row = undefined; return globalThis.idsInMemory?.get(key.toString());',
      },
    ],
  ],
  [
    'CRC not checked',
    [
      {
        file: record,
        find: 'return crc32(bytes.subarray(at + 8, end), seed) === bytes.readUInt32LE(at + 4) ? end : undefined;',
        replace: 'return end;',
      },
      {
        file: rows,
        find: 'return crc32(content, crc32(key)) === sealed.readUInt32LE(0) ? content : undefined;',
        replace: 'return content;',
      },
    ],
  ],
  [
    'epoch kept after restore',
    [
      {
        file: opened,
        find: 'new EpochHistory([...starts, { epoch, firstSeq: headSeq + 1 }]);',
        replace: 'new EpochHistory(starts.length > 0 ? starts : [{ epoch, firstSeq: 1 }]);',
      },
    ],
  ],
  [
    'ENOSPC swallowed',
    [
      {
        file: opened,
        find: 'if (batch.newest === undefined)',
        replace: 'if (this.database.freeBytes() < 4194304) return; if (batch.newest === undefined)',
      },
    ],
  ],
  [
    'fsync retried',
    [
      {
        file: database,
        find: 'throw await causeOf(caught);',
        replace: 'await causeOf(caught); await this.commit(writes);',
      },
    ],
  ],
]);

/** Builds a bug in. The returned function makes sure that all of it was loaded; call it once the store is imported. */
export function buildIn(name: string): () => void {
  const edits = sabotages.get(name);
  if (edits === undefined) throw new Error(`there is no sabotage "${name}"`);
  const waiting = new Set(edits);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const here = edits.filter(({ file }) => url.endsWith(file));
      if (here.length === 0) return loaded;
      let source = Buffer.from((loaded.source ?? '') as Uint8Array).toString();
      for (const edit of here) {
        const parts = source.split(edit.find);
        if (parts.length !== 2) {
          throw new Error(`sabotage "${name}": ${edit.file} has ${parts.length - 1} times: ${edit.find}`);
        }
        source = parts.join(edit.replace);
        waiting.delete(edit);
      }
      return { ...loaded, source };
    },
  });
  return () => {
    for (const { file } of waiting) throw new Error(`sabotage "${name}": ${file} was not loaded`);
  };
}
