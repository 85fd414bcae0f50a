interface Chunk {
  readonly channelNos: Uint32Array;
  readonly offsets: Float64Array;
  readonly tags: Buffer;
}

const chunkRows = 4096;
const tagBytes = 8;

/**
 * The message of each seq: 20 bytes per message that outlive it, so that the cursor of a reader whose channel was
 * trimmed, or is quiet, can still be distinguished from a forged one. The newest `rowsMax` are kept.
 */
export class SeqIndex {
  readonly #rowsMax: number;
  readonly #chunks: Chunk[] = [];
  /** The seq before the first one that is still in a chunk. */
  #floorSeq = 0;
  #headSeq = 0;

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  get headSeq(): number {
    return this.#headSeq;
  }

  /** Seqs up to here are forgotten. */
  get floorSeq(): number {
    return this.#floorSeq;
  }

  /** Adds the next seq and returns it. */
  add(channelNo: number, offset: number, tag: string): number {
    const at = this.#headSeq % chunkRows;
    if (at === 0) this.#addChunk();
    const chunk = this.#chunks[this.#chunks.length - 1]!;
    chunk.channelNos[at] = channelNo;
    chunk.offsets[at] = offset;
    chunk.tags.write(tag, at * tagBytes, 'hex');
    this.#headSeq += 1;
    return this.#headSeq;
  }

  channelNoAt(seq: number): number | undefined {
    return this.#chunkOf(seq)?.channelNos[(seq - 1) % chunkRows];
  }

  offsetAt(seq: number): number | undefined {
    return this.#chunkOf(seq)?.offsets[(seq - 1) % chunkRows];
  }

  tagAt(seq: number): string | undefined {
    const at = ((seq - 1) % chunkRows) * tagBytes;
    return this.#chunkOf(seq)?.tags.toString('hex', at, at + tagBytes);
  }

  #chunkOf(seq: number): Chunk | undefined {
    if (seq <= this.#floorSeq || seq > this.#headSeq) return undefined;
    return this.#chunks[Math.floor((seq - 1 - this.#floorSeq) / chunkRows)];
  }

  #addChunk(): void {
    if (this.#headSeq - this.#floorSeq >= this.#rowsMax) {
      this.#chunks.shift();
      this.#floorSeq += chunkRows;
    }
    this.#chunks.push({
      channelNos: new Uint32Array(chunkRows),
      offsets: new Float64Array(chunkRows),
      tags: Buffer.alloc(chunkRows * tagBytes),
    });
  }
}
