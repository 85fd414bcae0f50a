/** Type of a frame that carries content (RFC 9113 §6.1). */
const dataType = 0;
const headBytes = 9;
const nothing = Buffer.alloc(0);

/**
 * Takes the content of one HTTP/2 connection out of its frames. A server cuts what it writes into frames wherever one is
 * full, so the head of a frame may be in the middle of a payload. Padding is not understood; none of the measured servers
 * sends any.
 */
export class DataFrames {
  /** The head of a frame whose rest has not come. */
  #head: Buffer = nothing;
  /** Bytes of the frame under way that have not come. */
  #left = 0;
  #isData = false;
  #content = Buffer.alloc(64 * 1024);

  /** The content of the next bytes. It is overwritten by the next call. */
  read(bytes: Buffer): Buffer {
    if (this.#content.length < bytes.length) this.#content = Buffer.alloc(bytes.length);
    let length = 0;
    for (let at = 0; at < bytes.length;) {
      if (this.#left === 0) {
        at += this.#readHead(bytes, at);
        continue;
      }
      const end = Math.min(bytes.length, at + this.#left);
      if (this.#isData) length += bytes.copy(this.#content, length, at, end);
      this.#left -= end - at;
      at = end;
    }
    return this.#content.subarray(0, length);
  }

  /** Returns how many bytes it took. */
  #readHead(bytes: Buffer, at: number): number {
    const isWhole = this.#head.length === 0 && at + headBytes <= bytes.length;
    const taken = isWhole ? headBytes : Math.min(headBytes - this.#head.length, bytes.length - at);
    const part = bytes.subarray(at, at + taken);
    const head = isWhole ? part : Buffer.concat([this.#head, part]);
    if (head.length < headBytes) {
      this.#head = head;
      return taken;
    }
    this.#head = nothing;
    this.#left = head.readUIntBE(0, 3);
    this.#isData = head[3] === dataType;
    return taken;
  }
}
