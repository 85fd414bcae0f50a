/** The source text of a value that was checked but not parsed, so that its bytes stay unchanged. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type JsonValue = null | boolean | number | string | RawJson | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** Why a text is not strict JSON, and where (UTF-16 unit). */
export class JsonFault {
  readonly detail: string;
  readonly at: number;

  constructor(detail: string, at: number) {
    this.detail = detail;
    this.at = at;
  }
}

export interface StrictJsonOptions {
  /** The deepest nesting of arrays and objects. */
  readonly depthMax: number;
  /** Selects members whose value becomes a `RawJson`. `depth` is the depth of their object. */
  readonly isRaw?: (name: string, depth: number) => boolean;
}

/**
 * Parses JSON by RFC 8259. Refuses texts that two readers may understand differently: a byte order mark (§8.1), a
 * repeated name in one object (§4), an unpaired surrogate (§8.2), a number that overflows (§6), and nesting beyond
 * `depthMax`. Returns the fault as a value.
 */
export function parseStrictJson(text: string, options: StrictJsonOptions): JsonValue | JsonFault {
  if (!text.isWellFormed()) return new JsonFault('The JSON has an unpaired surrogate.', 0);
  const reader = new Reader(text, options);
  try {
    return reader.document();
  } catch (error) {
    if (error instanceof Found) return error.fault;
    throw error;
  }
}

/** Thrown inside the recursion to carry a fault; never leaves this file. */
class Found extends Error {
  readonly fault: JsonFault;

  constructor(fault: JsonFault) {
    super(fault.detail);
    this.fault = fault;
  }
}

const numberShape = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const spaceShape = /[ \t\n\r]*/y;
// A piece of a string: no control characters (§7), and only the defined escapes. The parser matches piece by piece,
// because a match of a million escapes would overflow the stack of the matcher.
const stringPiece = /(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})){1,1024}/y;
const words: ReadonlyMap<string, null | boolean> = new Map([
  ['null', null],
  ['true', true],
  ['false', false],
]);

/**
 * The members of an object. Its prototype is empty, so a member cannot pollute it or be confused with an inherited
 * name. An object without any prototype would be a dictionary to V8, three times as slow.
 */
const Members = function () {} as unknown as {
  new (): Record<string, JsonValue>;
  prototype: object;
};
Members.prototype = Object.create(null) as object;

class Reader {
  readonly #text: string;
  readonly #options: StrictJsonOptions;
  #at = 0;
  #depth = 0;

  constructor(text: string, options: StrictJsonOptions) {
    this.#text = text;
    this.#options = options;
  }

  document(): JsonValue {
    if (this.#text.startsWith('\uFEFF')) this.#fail('JSON must not begin with a byte order mark.');
    const value = this.#value();
    if (this.#at < this.#text.length) this.#fail('Text follows the JSON value.');
    return value;
  }

  /** Reads a value and the white space around it. */
  #value(): JsonValue {
    this.#space();
    const value = this.#bareValue();
    this.#space();
    return value;
  }

  #bareValue(): JsonValue {
    const first = this.#text[this.#at];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    return first === 't' || first === 'f' || first === 'n' ? this.#word() : this.#number();
  }

  #object(): JsonObject {
    this.#enter();
    const members = new Members();
    this.#space();
    if (!this.#take('}')) {
      do {
        this.#space();
        const nameAt = this.#at;
        const name = this.#string();
        if (name in members) this.#fail(`An object has the same name twice.`, nameAt);
        this.#space();
        this.#expect(':');
        members[name] = this.#options.isRaw?.(name, this.#depth) === true ? this.#rawValue() : this.#value();
      } while (this.#take(','));
      this.#expect('}');
    }
    this.#depth -= 1;
    return members;
  }

  #array(): readonly JsonValue[] {
    this.#enter();
    const items: JsonValue[] = [];
    this.#space();
    if (!this.#take(']')) {
      do items.push(this.#value());
      while (this.#take(','));
      this.#expect(']');
    }
    this.#depth -= 1;
    return items;
  }

  #rawValue(): RawJson {
    this.#space();
    const start = this.#at;
    this.#bareValue();
    const raw = new RawJson(this.#text.slice(start, this.#at));
    this.#space();
    return raw;
  }

  #string(): string {
    const start = this.#at;
    let isClosed = false;
    if (this.#take('"')) {
      while (this.#match(stringPiece) !== undefined);
      isClosed = this.#take('"');
    }
    if (!isClosed) this.#fail('A string is missing, is not closed, or has a bad escape.', start);
    const literal = this.#text.slice(start, this.#at);
    if (!literal.includes('\\')) return literal.slice(1, -1);
    const text = JSON.parse(literal) as string;
    // The source is well-formed, so only escapes can make an unpaired surrogate.
    if (!text.isWellFormed()) this.#fail('A string has an unpaired surrogate.');
    return text;
  }

  #number(): number {
    const literal = this.#match(numberShape);
    if (literal === undefined) this.#fail('A value is missing.');
    const value = Number(literal);
    if (!Number.isFinite(value)) this.#fail('A number is too large.');
    return value;
  }

  #word(): null | boolean {
    for (const [word, value] of words) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#fail('A value is missing.');
  }

  #enter(): void {
    this.#at += 1;
    this.#depth += 1;
    if (this.#depth > this.#options.depthMax) {
      this.#fail(`JSON is nested at most ${this.#options.depthMax} deep.`);
    }
  }

  #space(): void {
    const unit = this.#text.charCodeAt(this.#at);
    if (unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09) this.#match(spaceShape);
  }

  #take(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) this.#fail(`A ${mark} is missing.`);
  }

  #match(shape: RegExp): string | undefined {
    shape.lastIndex = this.#at;
    const found = shape.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #fail(detail: string, at = this.#at): never {
    throw new Found(new JsonFault(detail, at));
  }
}
