import { createHash } from 'node:crypto';

/**
 * The use of a channel in Socket.IO. A level of a room never begins with `~`, so the levels that begin with it belong to the
 * adapter.
 *
 * - `<prefix>/<namespace>`: events for everybody in the namespace; `_` is the main namespace, `/`
 * - `<prefix>/<namespace>/<room>`: events for one room; slashes of a room stay levels
 * - `<prefix>/<namespace>/~packets`: events for several rooms or for one socket
 * - `<prefix>/<namespace>/~cluster`: messages among the processes
 * - `<prefix>-sessions/<namespace>/<hash>`: one session that can be recovered
 */
export type Place =
  | { readonly kind: 'all' | 'packets' | 'cluster'; readonly namespace: string }
  | { readonly kind: 'room'; readonly namespace: string; readonly room: string };

const nameBytesMax = 255;
const levelsMax = 16;
/** Characters that a channel name cannot contain, and the escape character itself. */
const escaped = /[%+#*\u0000-\u001f\u007f-\u009f]/g;

function percent(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}

function escape(text: string): string {
  return text.replace(escaped, percent).replace(/^~/, '%7E');
}

export class ChannelNames {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** All channels whose messages can be for sockets. */
  get filter(): string {
    return `${this.#prefix}/**`;
  }

  filterOf(namespace: string): string {
    return `${this.#prefix}/${namespace}/**`;
  }

  /** The level of a Socket.IO namespace. A name that is too long is replaced by its hash. */
  namespace(ioNamespace: string): string {
    const name = ioNamespace.replace(/^\//, '');
    if (name === '') return '_';
    if (name === '_') return '%5F';
    const level = escape(name).replaceAll('/', '%2F');
    const isFine = name.isWellFormed() && Buffer.byteLength(level) <= 100;
    return isFine ? level : `~${createHash('sha256').update(name).digest('hex')}`;
  }

  all(namespace: string): string {
    return `${this.#prefix}/${namespace}`;
  }

  packets(namespace: string): string {
    return `${this.#prefix}/${namespace}/~packets`;
  }

  cluster(namespace: string): string {
    return `${this.#prefix}/${namespace}/~cluster`;
  }

  /** `undefined` for a room that cannot be a channel: empty, too long, not a string, or not well-formed Unicode. */
  room(namespace: string, room: unknown): string | undefined {
    if (typeof room !== 'string' || room === '' || !room.isWellFormed()) return undefined;
    const name = `${this.#prefix}/${namespace}/${escape(room)}`;
    const isFine = Buffer.byteLength(name) <= nameBytesMax && name.split('/').length <= levelsMax;
    return isFine ? name : undefined;
  }

  session(namespace: string, hash: string): string {
    return `${this.#prefix}-sessions/${namespace}/${hash}`;
  }

  /** The use of a channel that matches `filter`; `undefined` for a channel that has none. */
  place(channel: string): Place | undefined {
    if (!channel.startsWith(`${this.#prefix}/`)) return undefined;
    const rest = channel.slice(this.#prefix.length + 1);
    const at = rest.indexOf('/');
    const namespace = at < 0 ? rest : rest.slice(0, at);
    if (at < 0) return { kind: 'all', namespace };
    const room = rest.slice(at + 1);
    if (room === '~packets') return { kind: 'packets', namespace };
    if (room === '~cluster') return { kind: 'cluster', namespace };
    if (room === '' || room.startsWith('~')) return undefined;
    try {
      return { kind: 'room', namespace, room: decodeURIComponent(room) };
    } catch {
      // A percent sign that does not escape anything, from a publisher that is not an adapter: it stays as it is.
      return { kind: 'room', namespace, room };
    }
  }
}

/** Replaces a private session id in places that others can read: a reader of the id could take over the session. */
export function hashOf(pid: string): string {
  return createHash('sha256').update(pid).digest('base64url');
}
