import type { SeqRow } from '../log-view.ts';
import type { Database, Row, Write } from './database.ts';
import { readSeqKey, seqKey, seqMax } from './keys.ts';
import { segmentChannelNo, segmentLength, segmentOffset, segmentTag, unseal } from './rows.ts';

interface Segment {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly rows: Buffer;
}

/** What every seq was, one row per commit. They outlive the messages, down to a floor for the whole store. */
export class Segments {
  readonly #database: Database;
  readonly #rowsMax: number;
  #floorSeq: number;
  /** The one looked at last: readers come page after page. */
  #recent: Segment | undefined;

  constructor(database: Database, rowsMax: number) {
    this.#database = database;
    this.#rowsMax = rowsMax;
    this.#floorSeq = (this.#firstSeq() ?? this.newest()?.seq ?? 1) - 1;
  }

  /** Seqs up to here are forgotten. */
  get floorSeq(): number {
    return this.#floorSeq;
  }

  /** The newest seq in the file, and its tag. A damaged row is believed here: its length is what counts. */
  newest(): { readonly seq: number; readonly tag: string } | undefined {
    for (const { key, value } of this.#database.range('segments', {
      from: seqKey(seqMax),
      to: seqKey(0),
      reverse: true,
      limit: 1,
    })) {
      const rows = value.subarray(4);
      const length = segmentLength(rows);
      return { seq: readSeqKey(key) + length - 1, tag: segmentTag(rows, length - 1) };
    }
    return undefined;
  }

  row(seq: number): SeqRow | undefined {
    const segment = this.#of(seq);
    if (segment === undefined) return undefined;
    const index = seq - segment.firstSeq;
    return {
      channelNo: segmentChannelNo(segment.rows, index),
      offset: segmentOffset(segment.rows, index),
      tag: segmentTag(segment.rows, index),
    };
  }

  /** Rows from `fromSeq` to `throughSeq`, until `visit` answers false. Damaged ones are passed over. */
  scan(
    fromSeq: number,
    throughSeq: number,
    visit: (seq: number, channelNo: number, offset: number) => boolean,
  ): void {
    let seq = fromSeq;
    let segment = this.#of(seq);
    for (;;) {
      if (segment !== undefined) {
        for (; seq <= segment.lastSeq && seq <= throughSeq; seq += 1) {
          const index = seq - segment.firstSeq;
          if (!visit(seq, segmentChannelNo(segment.rows, index), segmentOffset(segment.rows, index))) return;
        }
      }
      if (seq > throughSeq) return;
      segment = undefined;
      for (const row of this.#database.range('segments', { from: seqKey(seq), limit: 1 })) {
        segment = this.#open(row);
        seq = Math.max(seq, readSeqKey(row.key));
        if (segment === undefined) seq += 1;
      }
      if (segment === undefined && this.#isPastEnd(seq)) return;
    }
  }

  /**
   * Raises the floor so that the newest rows are kept, and adds to `writes` the removal of what an earlier call left
   * below it: readers of the time in between may still need it.
   */
  raiseFloor(headSeq: number, writes: Write[]): void {
    if (headSeq - this.#floorSeq <= this.#rowsMax) return;
    let wanted = this.#floorSeq;
    // A few at a time is more than a commit adds.
    for (const { key, value } of this.#database.range('segments', { limit: 8 })) {
      const firstSeq = readSeqKey(key);
      const lastSeq = firstSeq + segmentLength(value.subarray(4)) - 1;
      if (headSeq - lastSeq < this.#rowsMax) break;
      if (lastSeq <= this.#floorSeq)
        writes.push({ table: 'segments', key: Buffer.from(key), value: undefined });
      else wanted = lastSeq;
    }
    this.#floorSeq = wanted;
  }

  #of(seq: number): Segment | undefined {
    const recent = this.#recent;
    if (recent !== undefined && seq >= recent.firstSeq && seq <= recent.lastSeq) return recent;
    for (const row of this.#database.range('segments', {
      from: seqKey(seq),
      to: seqKey(0),
      reverse: true,
      limit: 1,
    })) {
      const segment = this.#open(row);
      if (segment !== undefined && seq <= segment.lastSeq) return (this.#recent = segment);
    }
    return undefined;
  }

  #open({ key, value }: Row): Segment | undefined {
    const rows = unseal(key, value);
    if (rows === undefined) return undefined;
    const firstSeq = readSeqKey(key);
    return { firstSeq, lastSeq: firstSeq + segmentLength(rows) - 1, rows };
  }

  #firstSeq(): number | undefined {
    for (const key of this.#database.keys('segments', { limit: 1 })) return readSeqKey(key);
    return undefined;
  }

  #isPastEnd(seq: number): boolean {
    for (const _key of this.#database.keys('segments', { from: seqKey(seq), limit: 1 })) return false;
    return true;
  }
}
