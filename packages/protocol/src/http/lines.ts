/** Lines out of chunks that are cut anywhere, also within a character when they are bytes. Ends are not part of a line. */
export class LineReader {
  readonly #ends: RegExp;
  /** Without losses in the middle: bytes that are not UTF-8 become U+FFFD, as everywhere in browsers. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Of the line that has not ended. Kept apart, so that a long line in many chunks is not copied with each. */
  #parts: string[] = [];
  #isFirst = true;
  /** The chunk before ended with CR, which ended a line already; an LF that follows belongs to it. */
  #isAfterCr = false;

  /** @param ends `lf`: LF alone. `any`: CR, LF or CRLF, as in an event stream (HTML §9.2.5). */
  constructor(ends: 'lf' | 'any') {
    this.#ends = ends === 'lf' ? /\n/g : /\r\n|\n|\r/g;
  }

  /** What follows the last end is no line yet, and stays here. */
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
