import { EverywireError, parseDurationMs } from '@everywire/protocol';
import { percentDecode } from './percent.ts';

/** A request's query. Unknown names are ignored; a known name occurs at most once. */
export class Query {
  readonly #values = new Map<string, string[]>();

  /** @throws EverywireError `malformed` for a stray `%` or bytes that are not UTF-8. */
  constructor(text: string) {
    if (text === '') return;
    for (const pair of text.split('&')) {
      if (pair === '') continue;
      const at = pair.indexOf('=');
      const name = decode(at < 0 ? pair : pair.slice(0, at));
      const value = at < 0 ? '' : valueOf(name, pair.slice(at + 1));
      const values = this.#values.get(name);
      if (values === undefined) this.#values.set(name, [value]);
      else values.push(value);
    }
  }

  /** The same of parameters that come in a body. */
  static of(parameters: Iterable<readonly [name: string, value: string]>): Query {
    const query = new Query('');
    for (const [name, value] of parameters) query.#values.set(name, [value]);
    return query;
  }

  get names(): Iterable<string> {
    return this.#values.keys();
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /**
   * The value of a name. An empty one is as if absent.
   * @throws EverywireError `malformed` if the name occurs twice: the server does not guess which one counts
   */
  one(name: string): string | undefined {
    const values = this.all(name);
    if (values.length > 1) throw new EverywireError('malformed', `The query has ${name} more than once.`);
    return values[0] === '' ? undefined : values[0];
  }

  /** A whole number. A larger number becomes `max`. @throws EverywireError `invalid` (400) */
  count(name: string, max: number): number | undefined {
    const text = this.one(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text) || Number(text) === 0) {
      throw badValue(name, 'must be a whole number from 1');
    }
    return Math.min(Number(text), max);
  }

  /** A length of time such as `30s`; a longer one becomes `maxMs`. @throws EverywireError `invalid` (400) */
  durationMs(name: string, maxMs: number): number | undefined {
    const text = this.one(name);
    if (text === undefined) return undefined;
    const durationMs = parseDurationMs(text);
    if (durationMs === undefined) throw badValue(name, 'must be a length of time such as 30s');
    return Math.min(durationMs, maxMs);
  }

  /** One of the `allowed` words. @throws EverywireError `invalid` (400) */
  choice<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.one(name);
    if (text === undefined) return undefined;
    const chosen = allowed.find((word) => word === text);
    if (chosen === undefined) throw badValue(name, `must be one of ${allowed.join(', ')}`);
    return chosen;
  }
}

function badValue(name: string, what: string): EverywireError {
  return new EverywireError('invalid', `${name} ${what}.`, { httpStatus: 400, pointers: [`/${name}`] });
}

/** Parameters whose value is a filter, in which `+` is a wildcard. */
const filterNames: ReadonlySet<string> = new Set(['channel', 'filter']);

function valueOf(name: string, text: string): string {
  // An RFC 3339 time has a + before its offset, and never a space.
  if (name === 'since') return decode(text.replaceAll('+', '%2B'));
  const value = decode(text);
  // A channel of that name would match, so nothing would tell the reader of the mistake.
  if (filterNames.has(name) && (text.includes('+') || value.split('/').some(isBlank))) {
    throw badValue(
      name,
      'has a blank level or a raw +, which means a space here; write %2B for the wildcard +',
    );
  }
  return value;
}

const isBlank = (level: string): boolean => level !== '' && level.trim() === '';

function decode(text: string): string {
  // application/x-www-form-urlencoded (URL Standard §5.1), the form that browsers and curl send.
  return percentDecode(text.replaceAll('+', '%20'), 'query');
}
