/** Splits chunks into lines. A chunk may be cut anywhere, also within a UTF-8 character. A line does not contain its end. */
export class LineReader {
  readonly #ends: RegExp;
  /** Decodes across chunks. Bytes that are not UTF-8 become U+FFFD, as in browsers. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** The parts of the unfinished line, in a list, so that a long line in many chunks is not copied for each chunk. */
  #parts: string[] = [];
  #isFirst = true;
  /** The previous chunk ended with CR, which ended a line; an LF that follows belongs to the same end. */
  #isAfterCr = false;

  /** @param ends `lf`: LF alone. `any`: CR, LF or CRLF, as in an event stream (HTML §9.2.5). */
  constructor(ends: 'lf' | 'any') {
    this.#ends = ends === 'lf' ? /\n/g : /\r\n|\n|\r/g;
  }

  /** Returns the complete lines; the rest stays here until its end comes. */
  push(chunk: string | Uint8Array): string[] {
    const text = typeof chunk === 'string' ? chunk : this.#decoder.decode(chunk, { stream: true });
    if (text === '') return [];
    let start = this.#isAfterCr && text.startsWith('\n') ? 1 : 0;
    if (this.#isFirst && text.startsWith('\uFEFF')) start = 1;
    this.#isFirst = false;
    this.#isAfterCr = false;
    const lines: string[] = [];
    const ends = this.#ends;
    ends.lastIndex = start;
    for (let end = ends.exec(text); end !== null; end = ends.exec(text)) {
      this.#parts.push(text.slice(start, end.index));
      lines.push(this.#parts.join(''));
      this.#parts = [];
      start = ends.lastIndex;
      this.#isAfterCr = start === text.length && end[0] === '\r';
    }
    if (start < text.length) this.#parts.push(text.slice(start));
    return lines;
  }
}
