import type { LinkKind, Target, Wire } from '@everywire/probes';
import { CommandError } from './exit.ts';

/** A URL of the command line: `sse+http://localhost:8080/chat/room-1`. */
export interface UrlTarget extends Target {
  /** Whether the URL named the port. */
  readonly hasPort: boolean;
  /** The channel, or for reading a filter: the path, each level percent-decoded. */
  readonly channel: string;
}

interface Scheme {
  readonly wire: Wire;
  readonly link: LinkKind;
  readonly isSecure: boolean;
  /** The default port. */
  readonly port: number;
}

/** The scheme and its twin with TLS: port 80 and 443 unless the protocol has its own. */
function twins(
  names: readonly [plain: string, secure: string],
  wire: Wire,
  link: LinkKind,
  ports: readonly [plain: number, secure: number] = [80, 443],
): readonly (readonly [string, Scheme])[] {
  return [
    [names[0], { wire, link, isSecure: false, port: ports[0] }],
    [names[1], { wire, link, isSecure: true, port: ports[1] }],
  ];
}

const schemes: ReadonlyMap<string, Scheme> = new Map([
  ...twins(['http', 'https'], 'poll', 'http'),
  ...twins(['poll+http', 'poll+https'], 'poll', 'http'),
  ...twins(['longpoll+http', 'longpoll+https'], 'longpoll', 'http'),
  ...twins(['stream+http', 'stream+https'], 'stream', 'http'),
  ...twins(['sse+http', 'sse+https'], 'sse', 'http'),
  ...twins(['ws', 'wss'], 'websocket', 'websocket'),
  ...twins(['sio+http', 'sio+https'], 'socketio', 'websocket'),
  ...twins(['stomp', 'stomps'], 'stomp', 'tcp', [61_613, 61_614]),
  ...twins(['stomp+ws', 'stomp+wss'], 'stomp', 'websocket'),
  ...twins(['mqtt', 'mqtts'], 'mqtt', 'tcp', [1883, 8883]),
  ...twins(['mqtt+ws', 'mqtt+wss'], 'mqtt', 'websocket'),
  ...twins(['grpc', 'grpcs'], 'grpc', 'tcp', [50_051, 443]),
]);

const schemesText =
  'http:, poll+http:, longpoll+http:, stream+http:, sse+http:, ws:, sio+http:, stomp:, stomp+ws:, mqtt:, ' +
  'mqtt+ws: and grpc: (with TLS https, wss, stomps, mqtts, grpcs)';

/**
 * Reads a URL. Not by `URL`, for which `#` begins a fragment, while here it is MQTT's wildcard, and which would
 * resolve levels named `..`.
 * @throws CommandError `usage`
 */
export function parseTarget(text: string): UrlTarget {
  const match = /^([A-Za-z][A-Za-z0-9+]*):\/\/([^/?#]*)(?:\/([^?]*))?(\?.*)?$/s.exec(text);
  if (match === null) {
    throw new CommandError('usage', `${text} is not a URL such as http://localhost:8080/chat/room-1.`);
  }
  const [, scheme, authority, path = '', query] = match;
  const found = schemes.get(scheme!.toLowerCase());
  if (found === undefined) throw new CommandError('usage', describeUnknown(scheme!.toLowerCase()));
  if (query !== undefined) {
    throw new CommandError(
      'usage',
      'The URL must not have a query; use options such as --after, and %3F for a ? in a name.',
    );
  }
  if (path === '') throw new CommandError('usage', `${text} names no channel; put the channel in its path.`);
  const { wire, link, isSecure } = found;
  return { wire, link, isSecure, channel: decodeLevels(path), ...parseAuthority(authority!, found) };
}

function parseAuthority(authority: string, standard: Scheme): Pick<UrlTarget, 'host' | 'port' | 'hasPort'> {
  let url: URL;
  try {
    url = new URL(`http://${authority}`);
  } catch (cause) {
    throw new CommandError('usage', `${authority} is not a host with an optional port.`, cause);
  }
  if (url.username !== '' || url.password !== '') {
    throw new CommandError(
      'usage',
      'The URL must not contain a user or password: other users could read them in the process list.',
    );
  }
  const port = /:(\d+)$/.exec(authority)?.[1];
  return {
    host: url.hostname,
    port: port === undefined ? standard.port : Number(port),
    hasPort: port !== undefined,
  };
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
  return `${scheme}: is not a scheme of Everywire. The schemes are ${schemesText}.`;
}
