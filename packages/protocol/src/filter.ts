import { EverywireError } from './errors.ts';
import { checkText, type NameLimits } from './names.ts';

/** A pattern over channel names: `*` matches one level, and `**` at the end matches any number of levels, also none. */
export interface Filter {
  /** The canonical text of this filter: `+` and `#` are written `*` and `**`. Two filters are equal if these texts are. */
  readonly text: string;
  readonly levels: readonly string[];
  /** The channel, when the filter has no wildcard. */
  readonly channel: string | undefined;
}

export interface FilterLimits extends NameLimits {
  /** Wildcards in one filter; hostile filters cost the matcher a path for each. */
  readonly filterWildcardsMax: number;
}

const rest = '**';
const one = '*';

/**
 * Reads a filter. MQTT's `+` and `#` are accepted everywhere and mean the same.
 * `a/**` matches `a`, `a/b` and `a/b/c`, as `a/#` does in MQTT [MQTT-4.7.1-2 in 3.1.1, §4.7.1.2 in 5].
 * @throws EverywireError `bad_name`
 */
export function parseFilter(text: string, limits: FilterLimits): Filter {
  checkText(text, 'filter', limits);
  if (text.startsWith('$'))
    throw new EverywireError('bad_name', 'Names that begin with $ belong to the server.');
  const levels = text.split('/').map((level) => (level === '+' ? one : level === '#' ? rest : level));
  let wildcards = 0;
  for (const [at, level] of levels.entries()) {
    if (level === one || level === rest) wildcards += 1;
    else if (/[+#*]/.test(level))
      throw new EverywireError('bad_name', 'A wildcard must be alone in its level.');
    if (level === rest && at !== levels.length - 1) {
      throw new EverywireError('bad_name', '** (or #) is only allowed at the end of a filter.');
    }
  }
  if (wildcards > limits.filterWildcardsMax) {
    throw new EverywireError('bad_name', `A filter has at most ${limits.filterWildcardsMax} wildcards.`);
  }
  const canonical = levels.join('/');
  // This form is stored and parsed again later, and `#` is longer in it.
  if (canonical.length > text.length) checkText(canonical, 'filter', limits);
  return { text: canonical, levels, channel: wildcards === 0 ? canonical : undefined };
}

/** The filter that matches exactly one channel. The name must be checked already. */
export function exactFilter(channel: string): Filter {
  return { text: channel, levels: channel.split('/'), channel };
}

/** Whether `channel` matches. For many filters at once there is `FilterTrie`. */
export function matches(filter: Filter, channel: string): boolean {
  return filter.channel === undefined
    ? matchesLevels(filter, channel.split('/'))
    : filter.channel === channel;
}

/** The same for the levels of a name, so that one split serves several filters. */
export function matchesLevels({ levels }: Filter, names: readonly string[]): boolean {
  // Only a filter that begins with `$` matches names of the server [MQTT-4.7.2-1].
  if (names[0]!.startsWith('$') && (levels[0] === one || levels[0] === rest)) return false;
  for (let at = 0; at < levels.length; at += 1) {
    const level = levels[at]!;
    if (level === rest) return true;
    if (at >= names.length || (level !== one && level !== names[at])) return false;
  }
  return levels.length === names.length;
}

/** Whether `outer` matches every name that `inner` matches; the empty name counts as a name. */
export function contains(outer: Filter, inner: Filter): boolean {
  // A name has at least one level, so `**` and `*/**` are the same.
  const inside = inner.levels[0] === rest ? [one, rest] : inner.levels;
  for (let at = 0; at < outer.levels.length; at += 1) {
    const level = outer.levels[at]!;
    if (level === rest) return true;
    const other = inside[at];
    if (other === undefined || other === rest || (level !== one && level !== other)) return false;
  }
  return outer.levels.length === inside.length;
}

/** Whether at least one name matches both; the empty name counts as a name. */
export function overlaps(left: Filter, right: Filter): boolean {
  const depth = Math.max(left.levels.length, right.levels.length);
  for (let at = 0; at < depth; at += 1) {
    const a = left.levels[at];
    const b = right.levels[at];
    if (a === rest || b === rest) return true;
    if (a !== b && (a === undefined || b === undefined || (a !== one && b !== one))) return false;
  }
  return true;
}

/** The literal start of every matching name: a scan over sorted names can begin there. */
export function literalPrefix(filter: Filter): string {
  const at = filter.levels.findIndex((level) => level === one || level === rest);
  if (at < 0) return filter.text;
  const literal = filter.levels.slice(0, at).join('/');
  // `a/**` also matches `a` itself, so its prefix has no slash at the end.
  return at > 0 && filter.levels[at] !== rest ? `${literal}/` : literal;
}

interface Node<V> {
  /** A Map, since peers choose the keys. */
  children: Map<string, Node<V>> | undefined;
  one: Node<V> | undefined;
  rest: Set<V> | undefined;
  here: Set<V> | undefined;
}

function emptyNode<V>(): Node<V> {
  return { children: undefined, one: undefined, rest: undefined, here: undefined };
}

/** Finds the values of all filters that match a channel in one walk: at most 2^wildcards paths of 16 levels. */
export class FilterTrie<V> {
  readonly #root = emptyNode<V>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(filter: Filter, value: V): void {
    let node = this.#root;
    for (const level of filter.levels) {
      if (level === rest) {
        node.rest ??= new Set();
        if (!node.rest.has(value)) this.#size += 1;
        node.rest.add(value);
        return;
      }
      node = level === one ? (node.one ??= emptyNode()) : child(node, level);
    }
    node.here ??= new Set();
    if (!node.here.has(value)) this.#size += 1;
    node.here.add(value);
  }

  remove(filter: Filter, value: V): void {
    if (this.#removeFrom(this.#root, filter.levels, 0, value)) this.#size -= 1;
  }

  /** Calls `found` once for each filter that matches `channel`, in no promised order. */
  match(channel: string, found: (value: V) => void): void {
    walk(this.#root, channel.split('/'), 0, found);
  }

  #removeFrom(node: Node<V>, levels: readonly string[], at: number, value: V): boolean {
    const level = levels[at];
    if (level === rest || level === undefined) {
      const set = level === rest ? node.rest : node.here;
      const removed = set?.delete(value) ?? false;
      if (set?.size === 0) {
        if (level === rest) node.rest = undefined;
        else node.here = undefined;
      }
      return removed;
    }
    const next = level === one ? node.one : node.children?.get(level);
    if (next === undefined) return false;
    const removed = this.#removeFrom(next, levels, at + 1, value);
    if (isEmpty(next)) {
      if (level === one) node.one = undefined;
      else node.children?.delete(level);
      if (node.children?.size === 0) node.children = undefined;
    }
    return removed;
  }
}

function child<V>(node: Node<V>, level: string): Node<V> {
  node.children ??= new Map();
  let next = node.children.get(level);
  if (next === undefined) node.children.set(level, (next = emptyNode()));
  return next;
}

function isEmpty<V>(node: Node<V>): boolean {
  return (
    node.children === undefined &&
    node.one === undefined &&
    node.rest === undefined &&
    node.here === undefined
  );
}

function walk<V>(node: Node<V>, names: readonly string[], at: number, found: (value: V) => void): void {
  const isServerName = at === 0 && names[0]!.startsWith('$');
  if (node.rest !== undefined && !isServerName) for (const value of node.rest) found(value);
  const name = names[at];
  if (name === undefined) {
    if (node.here !== undefined) for (const value of node.here) found(value);
    return;
  }
  if (node.one !== undefined && !isServerName) walk(node.one, names, at + 1, found);
  const next = node.children?.get(name);
  if (next !== undefined) walk(next, names, at + 1, found);
}
