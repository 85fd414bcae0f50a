import { CommandError } from './exit.ts';

/** How the command line speaks to a server; the scheme of the URL picks one. */
export type Wire = 'poll' | 'longpoll' | 'stream' | 'sse' | 'websocket';

/** A URL of the command line: `sse+http://localhost:8080/chat/room-1`. */
export interface Target {
  readonly wire: Wire;
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  /** Whether the URL named the port. */
  readonly hasPort: boolean;
  /** The channel, or for reading a filter: the path, each level percent-decoded. */
  readonly channel: string;
}

const wires: ReadonlyMap<string, readonly [Wire, boolean]> = new Map<string, readonly [Wire, boolean]>([
  ['http', ['poll', false]],
  ['https', ['poll', true]],
  ['poll+http', ['poll', false]],
  ['poll+https', ['poll', true]],
  ['longpoll+http', ['longpoll', false]],
  ['longpoll+https', ['longpoll', true]],
  ['stream+http', ['stream', false]],
  ['stream+https', ['stream', true]],
  ['sse+http', ['sse', false]],
  ['sse+https', ['sse', true]],
  ['ws', ['websocket', false]],
  ['wss', ['websocket', true]],
]);

/** Schemes that have a meaning, but no transport behind them in this version. */
const later = new Set(
  ['sio+http', 'stomp', 'stomp+ws', 'mqtt', 'mqtt+ws', 'grpc'].flatMap((scheme) => [scheme, `${scheme}s`]),
);

const schemesText = 'http:, poll+http:, longpoll+http:, stream+http:, sse+http: and ws: (also https and wss)';

/**
 * Reads a URL. Not by `URL`, for which `#` begins a fragment, while here it is MQTT's wildcard, and which would
 * resolve levels named `..`.
 * @throws CommandError `usage`
 */
export function parseTarget(text: string): Target {
  const match = /^([A-Za-z][A-Za-z0-9+]*):\/\/([^/?#]*)(?:\/([^?]*))?(\?.*)?$/s.exec(text);
  if (match === null) {
    throw new CommandError('usage', `${text} is not a URL such as http://localhost:8080/chat/room-1.`);
  }
  const [, scheme, authority, path = '', query] = match;
  const wire = wires.get(scheme!.toLowerCase());
  if (wire === undefined) throw new CommandError('usage', describeUnknown(scheme!.toLowerCase()));
  if (query !== undefined) {
    throw new CommandError(
      'usage',
      'A URL has no query here; use options such as --after, and %3F for a ? in a name.',
    );
  }
  if (path === '') throw new CommandError('usage', `${text} names no channel; its path is the channel.`);
  const [kind, isSecure] = wire;
  return { wire: kind, isSecure, channel: decodeLevels(path), ...parseAuthority(authority!, isSecure) };
}

/** The channel as a path, each level percent-encoded. */
export function encodeChannel(channel: string): string {
  return channel.split('/').map(encodeURIComponent).join('/');
}

export function originOf({ isSecure, host, port }: Target, base = isSecure ? 'https' : 'http'): string {
  return `${base}://${host}:${port}`;
}

function parseAuthority(authority: string, isSecure: boolean): Pick<Target, 'host' | 'port' | 'hasPort'> {
  let url: URL;
  try {
    url = new URL(`${isSecure ? 'https' : 'http'}://${authority}`);
  } catch (cause) {
    throw new CommandError('usage', `${authority} is not a host with an optional port.`, cause);
  }
  if (url.username !== '' || url.password !== '') {
    throw new CommandError(
      'usage',
      'A URL carries no user or password here: others could read them in the process list.',
    );
  }
  const standard = isSecure ? 443 : 80;
  const hasPort = /:\d+$/.test(authority);
  return { host: url.hostname, port: url.port === '' ? standard : Number(url.port), hasPort };
}

function decodeLevels(path: string): string {
  try {
    return path.split('/').map(decodeURIComponent).join('/');
  } catch (cause) {
    throw new CommandError(
      'usage',
      `${path} is not percent-encoded UTF-8; a % in a name is written %25.`,
      cause,
    );
  }
}

function describeUnknown(scheme: string): string {
  return later.has(scheme)
    ? `${scheme}: is not built into this version yet. It speaks ${schemesText}.`
    : `${scheme}: is no scheme of Everywire. There are ${schemesText}.`;
}
