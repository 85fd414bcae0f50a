import { isUtf8 } from 'node:buffer';
import { unescapeText, type Escapes } from './escape.ts';
import type { Frame, Version } from './frame.ts';

export interface FrameBounds {
  /** Command and header lines together. */
  readonly headBytesMax: number;
  readonly headersMax: number;
  readonly lineBytesMax: number;
  readonly commandBytesMax: number;
  readonly bodyBytesMax: number;
}

/** The bytes break the protocol or a limit. The reader reads nothing after them. */
export interface Fault {
  readonly kind: 'fault';
  readonly code: 'malformed' | 'too_large';
  /** One sentence for people: the broken rule. */
  readonly detail: string;
  /** The receipt of the faulty frame, if it was read. */
  readonly receipt: string | undefined;
}

export type Received = { readonly kind: 'frame'; readonly frame: Frame } | Fault;

const nothing = Buffer.alloc(0);
const lf = 0x0a;
const cr = 0x0d;
/** First capacity of the buffer; it doubles, so that an announced length reserves no memory. */
const gatherBytesMin = 128;
const wholeNumber = /^\d{1,15}$/;

/**
 * Reads frames (1.2, STOMP Frames and Augmented BNF) from chunks cut anywhere: `push` a chunk, then call `next` until
 * it returns `undefined`. Skips line ends between frames: they are heart-beats. A frame within one chunk shares memory
 * with it. The reader collects other frames in one buffer that grows with the received bytes, up to a limit that it
 * checks before.
 */
export class FrameReader {
  /** The agreed version; before the answer to CONNECT there are no escapes. */
  version: Version | undefined;
  bounds: FrameBounds;
  #chunk: Buffer = nothing;
  #at = 0;
  #isOver = false;
  /** The frame being read; no command: between frames. */
  #command = '';
  #headers: Map<string, string> | undefined;
  #headerCount = 0;
  #headBytes = 0;
  /** The body has started. A length of -1 means that it ends at the first NUL. */
  #isBody = false;
  #bodyBytes = -1;
  /** The beginning of a line or of a body that came in earlier chunks. */
  #gathered: Buffer = nothing;
  #gatheredBytes = 0;

  constructor(bounds: FrameBounds) {
    this.bounds = bounds;
  }

  /** Whether a part of a frame has come, but not all of it. */
  get isInFrame(): boolean {
    return this.#command !== '' || this.#gatheredBytes > 0;
  }

  push(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#chunk =
      this.#at === this.#chunk.length ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** The next frame, or `undefined` until more bytes come. */
  next(): Received | undefined {
    while (!this.#isOver && this.#at < this.#chunk.length) {
      const received = this.#isBody ? this.#readBody() : this.#readLine();
      if (received !== undefined) return received;
    }
    this.#chunk = nothing;
    this.#at = 0;
    return undefined;
  }

  /** Stops reading, as after DISCONNECT. */
  stop(): void {
    this.#isOver = true;
    this.#chunk = nothing;
    this.#at = 0;
    this.#forgetGathered();
  }

  #readLine(): Received | undefined {
    const { commandBytesMax, lineBytesMax } = this.bounds;
    const isCommand = this.#command === '';
    const bytesMax = isCommand ? commandBytesMax : lineBytesMax;
    const found = this.#chunk.indexOf(lf, this.#at);
    const end = found < 0 ? this.#chunk.length : found;
    // One more byte for the CR of CRLF. Reports the same first fault for every way to cut the bytes.
    const fits = Math.min(end, this.#at + bytesMax + 1 - this.#gatheredBytes);
    const started = this.#chunk.subarray(this.#at, fits);
    const nulAt = started.indexOf(0);
    // A peer without STOMP may never send a line end, so the reader checks the command before it is complete.
    if (isCommand && !this.#canBeCommand(nulAt < 0 ? started : started.subarray(0, nulAt))) {
      return this.#failCommand();
    }
    if (nulAt >= 0) {
      return this.#fail('malformed', 'A frame head must end with an empty line before NUL.');
    }
    if (fits < end) {
      return isCommand
        ? this.#fail('malformed', `A command has at most ${bytesMax} bytes.`)
        : this.#fail('too_large', `A header line has at most ${bytesMax} bytes.`);
    }
    const part = this.#chunk.subarray(this.#at, end);
    this.#at = found < 0 ? end : end + 1;
    if (found < 0) {
      this.#gather(part, bytesMax + 1);
      return undefined;
    }
    return this.#takeLine(this.#joined(part));
  }

  /** Whether the gathered bytes and `part` are capitals, with at most a CR at the end, after which LF may follow. */
  #canBeCommand(part: Buffer): boolean {
    // The gathered bytes before that CR are already checked.
    if (this.#gatheredBytes > 0 && this.#gathered[this.#gatheredBytes - 1] === cr) return part.length === 0;
    return isCapitals(part.at(-1) === cr ? part.subarray(0, -1) : part);
  }

  #takeLine(whole: Buffer): Received | undefined {
    // 1.2 allows CRLF; the reader accepts it in older versions too, because a CR has no other meaning there.
    const line = whole.at(-1) === cr ? whole.subarray(0, -1) : whole;
    this.#headBytes += whole.length + 1;
    if (this.#command === '') {
      if (line.length === 0) {
        this.#headBytes = 0;
        return undefined;
      }
      this.#command = line.toString('latin1');
      this.#headers = new Map();
      this.#headerCount = 0;
      return undefined;
    }
    if (this.#headBytes > this.bounds.headBytesMax) {
      return this.#fail(
        'too_large',
        `The head of a frame has at most ${this.bounds.headBytesMax} bytes here.`,
      );
    }
    return line.length === 0 ? this.#endHead() : this.#takeHeader(line);
  }

  #takeHeader(line: Buffer): Received | undefined {
    this.#headerCount += 1;
    if (this.#headerCount > this.bounds.headersMax) {
      return this.#fail('too_large', `A frame has at most ${this.bounds.headersMax} headers.`);
    }
    if (!isUtf8(line)) return this.#fail('malformed', 'Headers are UTF-8.');
    const text = line.toString();
    if (this.version === '1.2' && text.includes('\r')) {
      return this.#fail('malformed', 'In a header, CR is written as \\r.');
    }
    const colon = text.indexOf(':');
    if (colon < 1) return this.#fail('malformed', 'A header must be a name, a colon and a value.');
    const escapes: Escapes = this.version ?? 'none';
    const name = unescapeText(text.slice(0, colon), escapes);
    const value = unescapeText(text.slice(colon + 1), escapes);
    if (name === undefined || value === undefined) {
      return this.#fail('malformed', 'A header has an escape that this version does not define.');
    }
    const headers = this.#headers!;
    // The examples of 1.0 have a space after the colon; later versions forbid trimming (1.2, Value Encoding).
    if (!headers.has(name)) headers.set(name, this.version === '1.0' ? value.trim() : value);
    else if (name === 'content-length')
      return this.#fail('malformed', 'A frame must have at most one content-length.');
    return undefined;
  }

  #endHead(): Received | undefined {
    const { bodyBytesMax } = this.bounds;
    const length = this.#headers!.get('content-length')?.trim();
    if (length === undefined) {
      this.#bodyBytes = -1;
    } else {
      if (!wholeNumber.test(length))
        return this.#fail('malformed', 'content-length must be a whole number of bytes.');
      this.#bodyBytes = Number(length);
      if (this.#bodyBytes > bodyBytesMax) return this.#failBody();
    }
    this.#isBody = true;
    return undefined;
  }

  #readBody(): Received | undefined {
    return this.#bodyBytes < 0 ? this.#readBodyToNul() : this.#readCountedBody();
  }

  #readBodyToNul(): Received | undefined {
    const found = this.#chunk.indexOf(0, this.#at);
    const end = found < 0 ? this.#chunk.length : found;
    if (this.#gatheredBytes + end - this.#at > this.bounds.bodyBytesMax) return this.#failBody();
    const part = this.#chunk.subarray(this.#at, end);
    if (found < 0) {
      this.#at = end;
      this.#gather(part, this.bounds.bodyBytesMax);
      return undefined;
    }
    this.#at = end + 1;
    return this.#endFrame(this.#joined(part));
  }

  #readCountedBody(): Received | undefined {
    const left = this.#bodyBytes - this.#gatheredBytes;
    const end = this.#at + left;
    if (end >= this.#chunk.length) {
      this.#gather(this.#chunk.subarray(this.#at), this.#bodyBytes);
      this.#at = this.#chunk.length;
      return undefined;
    }
    if (this.#chunk[end] !== 0) {
      return this.#fail('malformed', 'NUL must follow the body, after content-length bytes.');
    }
    const part = this.#chunk.subarray(this.#at, end);
    this.#at = end + 1;
    return this.#endFrame(this.#joined(part));
  }

  #endFrame(body: Buffer): Received {
    const frame: Frame = { command: this.#command, headers: this.#headers!, body };
    this.#command = '';
    this.#headers = undefined;
    this.#headBytes = 0;
    this.#isBody = false;
    return { kind: 'frame', frame };
  }

  /** Appends `part` to the gathered bytes; the buffer grows to at most `bytesMax`, which was checked. */
  #gather(part: Buffer, bytesMax: number): void {
    const bytes = this.#gatheredBytes + part.length;
    if (bytes > this.#gathered.length) {
      const larger = Buffer.allocUnsafe(Math.min(Math.max(2 * bytes, gatherBytesMin), bytesMax));
      this.#gathered.copy(larger, 0, 0, this.#gatheredBytes);
      this.#gathered = larger;
    }
    part.copy(this.#gathered, this.#gatheredBytes);
    this.#gatheredBytes = bytes;
  }

  /** The gathered bytes and `last` after them, as one. */
  #joined(last: Buffer): Buffer {
    if (this.#gatheredBytes === 0) return last;
    const whole = Buffer.concat([this.#gathered.subarray(0, this.#gatheredBytes), last]);
    this.#forgetGathered();
    return whole;
  }

  #forgetGathered(): void {
    this.#gathered = nothing;
    this.#gatheredBytes = 0;
  }

  #failCommand(): Fault {
    return this.#fail('malformed', 'A frame must begin with its command in capitals.');
  }

  #failBody(): Fault {
    return this.#fail('too_large', `A body has at most ${this.bounds.bodyBytesMax} bytes here.`);
  }

  #fail(code: Fault['code'], detail: string): Fault {
    const receipt = this.#headers?.get('receipt');
    this.stop();
    return { kind: 'fault', code, detail, receipt };
  }
}

function isCapitals(line: Buffer): boolean {
  for (const byte of line) if (byte < 0x41 || byte > 0x5a) return false;
  return true;
}
