/** BAD-INPUT section 5: forbidden inputs of a peer, as data. */

import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { messageBytesMax } from '../../packages/server/src/core/message-bounds.ts';

/** As its handshake announces it. */
const maxPayload = messageBytesMax(defaultLimits, 'json');

/** A message in a WebSocket: text, or bytes. Over polling, packets of payloads. */
export type Packet = string | Buffer;

export interface PacketCase {
  readonly what: string;
  readonly send: readonly Packet[];
  /** Whether the server ends the session for it. */
  readonly isFatal: boolean;
  /** Before the main namespace was entered. */
  readonly isFirst?: boolean;
  /** Only where packets are frames: a payload cannot carry it. */
  readonly isFrame?: boolean;
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const bytes = Buffer.from([1, 2, 3]);
const place = (num: unknown): string => `{"_placeholder":true,"num":${JSON.stringify(num)}}`;

const fatal = (what: string, ...send: readonly Packet[]): PacketCase => ({ what, send, isFatal: true });
const harmless = (what: string, ...send: readonly Packet[]): PacketCase => ({ what, send, isFatal: false });

export const packetCases: readonly PacketCase[] = [
  { ...fatal('an empty packet', ''), isFrame: true },
  fatal('no packet type', 'hello'),
  fatal('type 7', '7'),
  fatal('open, which is the server’s', '0{}'),
  fatal('ping, which is the server’s', '2'),
  fatal('a probe where nothing is to be tried', '2probe'),
  fatal('upgrade without a probe', '5'),
  fatal('close with something behind', '1x'),
  { ...fatal('base64 in a frame of text', 'bAQID'), isFrame: true },
  fatal('a message without anything', '4'),
  fatal('Socket.IO type 7', '47["x"]'),
  fatal('Socket.IO type x', '4x'),
  fatal('CONNECT_ERROR, which is the server’s', '44{"message":"x"}'),
  fatal('EVENT without a payload', '42'),
  fatal('EVENT that is an object', '42{}'),
  fatal('EVENT that is a string', '42"publish"'),
  fatal('EVENT of nothing', '42[]'),
  fatal('EVENT named null', '42[null]'),
  fatal('EVENT named by an object', '42[{"a":1}]'),
  fatal('EVENT cut short', '42["subscribe","a"'),
  fatal('EVENT with something behind', '42["subscribe"]x'),
  ...[
    'connect',
    'connect_error',
    'disconnect',
    'disconnecting',
    'error',
    'newListener',
    'removeListener',
  ].map((name) => fatal(`EVENT named ${name}`, `42["${name}"]`)),
  fatal('nested 33 deep', `42["publish","a",${nested(32)}]`),
  fatal('64 KiB of [', `42${'['.repeat(65_536)}`),
  fatal('a namespace that is too long', `40/${'x'.repeat(300)},`),
  fatal('CONNECT again', '40'),
  fatal('CONNECT with an array', '40/other,[]'),
  fatal('CONNECT with a string', '40/other,"x"'),
  fatal('CONNECT cut short', '40/other,{"token":'),
  fatal('DISCONNECT with a payload', '41{}'),
  fatal('an event in a namespace that was not entered', '42/other,["x"]'),
  fatal('leaving a namespace that was not entered', '41/other,'),
  fatal('an event after leaving', '41', '42["subscribe","a"]'),
  fatal('binary event without a count', '45["x"]'),
  fatal('no attachments at all', '450-["x"]'),
  fatal('a count without packet', '451-'),
  fatal('-1 attachments', '45-1-["x"]'),
  fatal('half an attachment', `450.5-["x",${place(0)}]`),
  fatal('11 attachments', `4511-["x",${Array.from({ length: 11 }, (_, at) => place(at)).join(',')}]`),
  fatal('59999999999 attachments', '4559999999999-["x"]'),
  fatal('an attachment without a place', '451-["x"]', bytes),
  fatal('a place out of range', `451-["x",${place(1)}]`, bytes),
  fatal('a place below 0', `451-["x",${place(-1)}]`, bytes),
  fatal('half a place', `451-["x",${place(0.5)}]`, bytes),
  fatal('a place that is a string', `451-["x",${place('0')}]`, bytes),
  fatal('a place named __proto__', `451-["x",${place('__proto__')}]`, bytes),
  fatal('one place twice', `452-["x",${place(0)},${place(0)}]`, bytes, bytes),
  fatal('bytes when none are due', bytes),
  fatal('text when bytes are due', `451-["x",${place(0)}]`, '42["x"]'),
  fatal(
    'attachments that are too large together',
    `452-["x",${place(0)},${place(1)}]`,
    Buffer.alloc(maxPayload / 2 + 1),
    Buffer.alloc(maxPayload / 2 + 1),
  ),
  { ...fatal('an event before CONNECT', '42["x"]'), isFirst: true },
  { ...fatal('DISCONNECT before CONNECT', '41'), isFirst: true },
  { ...fatal('ACK before CONNECT', '431[]'), isFirst: true },
  { ...fatal('bytes before CONNECT', bytes), isFirst: true },
  harmless('a pong without a ping', '3'),
  harmless('noop', '6'),
  harmless('ACK without a question', '43999[1]'),
  harmless('ACK of 2^53', '439007199254740992[1]'),
  harmless('ACK of a number beyond all bounds', `43${'9'.repeat(400)}[1]`),
  harmless('ACK of -1', '43-1[1]'),
  harmless('binary ACK without a question', `461-7[${place(0)}]`, bytes),
  harmless('an event with the id 2^53', '429007199254740993["x"]'),
  harmless('an event named by a number', '42[7]'),
  harmless('an event named by 1e400', '42[1e400]'),
  harmless('an event named __proto__', '42["__proto__",{"__proto__":{"polluted":1}}]'),
  harmless('an event named constructor', '42["constructor"]'),
  harmless('a namespace named __proto__', '40/__proto__,'),
  harmless('a namespace that can have no channels', '40/$SYS,'),
  harmless('a room named __proto__', '42["subscribe","__proto__"]'),
  harmless('half a surrogate pair', '42["subscribe","\\ud800"]'),
  harmless('a name twice in the options', '42["subscribe","a",{"after":null,"after":null}]'),
  harmless('arguments of other types', '42["publish",{},[],7]', '42["subscribe",null]', '42["auth",[]]'),
  harmless('binary within JSON', `451-["publish","a",{"in":${place(0)}}]`, bytes),
  harmless('two attachments for one payload', `452-["publish","a",${place(0)},${place(1)}]`, bytes, bytes),
  harmless('a command that does not exist', '42["explode"]', '4212["explode"]'),
];

export interface RequestCase {
  readonly what: string;
  readonly method?: string;
  /** The test replaces `SID` by the id of an open session. */
  readonly query: string;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  readonly isChunked?: boolean;
  readonly status: number;
  /** The code of the body's JSON. */
  readonly code?: number;
  /** Whether `SID` is closed for it. */
  readonly endsSession?: boolean;
}

const post = (what: string, body: string | Buffer, rest: Partial<RequestCase>): RequestCase => ({
  what,
  method: 'POST',
  query: 'EIO=4&transport=polling&sid=SID',
  body,
  status: 400,
  ...rest,
});

export const requestCases: readonly RequestCase[] = [
  { what: 'no query', query: '', status: 400, code: 0 },
  { what: 'no transport', query: 'EIO=4', status: 400, code: 0 },
  { what: 'an unknown transport', query: 'EIO=4&transport=pigeon', status: 400, code: 0 },
  { what: 'transport constructor', query: 'EIO=4&transport=constructor', status: 400, code: 0 },
  { what: 'no EIO', query: 'transport=polling', status: 400, code: 5 },
  { what: 'EIO 3', query: 'EIO=3&transport=polling', status: 400, code: 5 },
  { what: 'EIO 3 and 4', query: 'EIO=3&EIO=4&transport=polling', status: 400, code: 3 },
  { what: 'WebSocket without an upgrade', query: 'EIO=4&transport=websocket', status: 400, code: 3 },
  { what: 'JSONP', query: 'EIO=4&transport=polling&j=0', status: 400, code: 3 },
  {
    what: 'an unknown sid',
    query: 'EIO=4&transport=polling&sid=aaaaaaaaaaaaaaaaaaaa',
    status: 400,
    code: 1,
  },
  { what: 'sid __proto__', query: 'EIO=4&transport=polling&sid=__proto__', status: 400, code: 1 },
  { what: 'a sid of 4 KiB', query: `EIO=4&transport=polling&sid=${'a'.repeat(4096)}`, status: 400, code: 1 },
  { what: 'a bad escape', query: 'EIO=4&transport=polling&sid=%', status: 400, code: 3 },
  {
    what: 'POST without a session',
    method: 'POST',
    query: 'EIO=4&transport=polling',
    body: '',
    status: 400,
    code: 2,
  },
  {
    what: 'PUT without a session',
    method: 'PUT',
    query: 'EIO=4&transport=polling',
    body: '',
    status: 400,
    code: 2,
  },
  { what: 'HEAD without a session', method: 'HEAD', query: 'EIO=4&transport=polling', status: 400 },
  post('POST to an unknown sid', '40', {
    query: 'EIO=4&transport=polling&sid=bbbbbbbbbbbbbbbbbbbb',
    code: 1,
  }),
  post('DELETE', '', { method: 'DELETE', status: 405 }),
  post('the other transport', '', { method: 'GET', query: 'EIO=4&transport=websocket&sid=SID', code: 3 }),
  post('the other version', '', { method: 'GET', query: 'EIO=3&transport=polling&sid=SID', code: 3 }),
  post('a body over the limit', Buffer.alloc(maxPayload + 1, '4'), { status: 413 }),
  post('a chunked body over the limit', Buffer.alloc(maxPayload + 1, '4'), { isChunked: true, status: 413 }),
  post('an empty body', '', { code: 3, endsSession: true }),
  post('a separator at the end', '3\x1e', { code: 3, endsSession: true }),
  post('two separators', '3\x1e\x1e3', { code: 3, endsSession: true }),
  post('bad base64', 'b===', { code: 3, endsSession: true }),
  post('base64 with a space', 'bAA AA', { code: 3, endsSession: true }),
  post('base64url', 'b-_-_', { code: 3, endsSession: true }),
  post('no packets', 'abc', { code: 3, endsSession: true }),
  post('a body that is not UTF-8', Buffer.from([0x34, 0xff, 0xfe]), { code: 3, endsSession: true }),
  post('bytes by their type', Buffer.from([4, 0]), {
    headers: ['Content-Type: application/octet-stream'],
    code: 3,
    endsSession: true,
  }),
  post('a form', 'd=4', {
    headers: ['Content-Type: application/x-www-form-urlencoded'],
    code: 3,
    endsSession: true,
  }),
];
