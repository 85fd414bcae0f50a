import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { clientFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';
import { tryAll } from '../../support/try-all.ts';

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const allowed = 'https://allowed.example';

interface HandshakeCase {
  readonly what: string;
  readonly status: number;
  readonly line?: string;
  /** Header fields by name to replace, add, or (undefined) leave out. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
  /** Lines to add, such as a field twice. */
  readonly more?: readonly string[];
  readonly answers?: RegExp;
}

const standard: Readonly<Record<string, string>> = {
  Host: '127.0.0.1',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

function requestOf({ line = 'GET /ws HTTP/1.1', fields = {}, more = [] }: HandshakeCase): Buffer {
  const all = Object.entries({ ...standard, ...fields }).filter(([, value]) => value !== undefined);
  const lines = [line, ...all.map(([name, value]) => `${name}: ${value!}`), ...more];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

const version = /^Sec-WebSocket-Version: 13$/m;
const allow = /^Allow: GET$/m;

/** BAD-INPUT section 4, first rows: RFC 6455 §4.2.1, §4.2.2, §4.4, §10.2. */
const cases: readonly HandshakeCase[] = [
  { what: 'HTTP/1.0', line: 'GET /ws HTTP/1.0', status: 400 },
  { what: 'no Upgrade', fields: { Upgrade: undefined }, status: 426 },
  { what: 'another Upgrade', fields: { Upgrade: 'h2c' }, status: 426 },
  { what: 'no Connection: Upgrade', fields: { Connection: 'keep-alive' }, status: 426 },
  { what: 'no key', fields: { 'Sec-WebSocket-Key': undefined }, status: 400 },
  { what: 'an empty key', fields: { 'Sec-WebSocket-Key': '' }, status: 400 },
  { what: 'a key of 15 bytes', fields: { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }, status: 400 },
  { what: 'a key of 17 bytes', fields: { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAA=' }, status: 400 },
  { what: 'a key that is not base64', fields: { 'Sec-WebSocket-Key': '****************==' }, status: 400 },
  { what: 'two keys', more: [key], status: 400 },
  { what: 'POST', line: 'POST /ws HTTP/1.1', status: 405, answers: allow },
  { what: 'PUT', line: 'PUT /channels/a HTTP/1.1', status: 405, answers: allow },
  { what: 'a body', more: ['Content-Length: 5'], status: 400 },
  { what: 'a chunked body', more: ['Transfer-Encoding: chunked'], status: 400 },
  { what: 'version 8', fields: { 'Sec-WebSocket-Version': '8' }, status: 426, answers: version },
  { what: 'version 0', fields: { 'Sec-WebSocket-Version': '0' }, status: 426, answers: version },
  { what: 'version 013', fields: { 'Sec-WebSocket-Version': '013' }, status: 426, answers: version },
  { what: 'two versions', fields: { 'Sec-WebSocket-Version': '13, 8' }, status: 426, answers: version },
  { what: 'no version', fields: { 'Sec-WebSocket-Version': undefined }, status: 426, answers: version },
  { what: 'an unknown subprotocol', more: ['Sec-WebSocket-Protocol: chat'], status: 400 },
  { what: 'a subprotocol twice', more: ['Sec-WebSocket-Protocol: everywire.v1, everywire.v1'], status: 400 },
  { what: 'an empty subprotocol', more: ['Sec-WebSocket-Protocol: everywire.v1,,x'], status: 400 },
  { what: 'a subprotocol that is no token', more: ['Sec-WebSocket-Protocol: a b'], status: 400 },
  { what: 'a path where nothing upgrades', line: 'GET /nothing HTTP/1.1', status: 404 },
  {
    what: 'ours among others',
    more: ['Sec-WebSocket-Protocol: x, everywire.v1'],
    status: 101,
    answers: /^Sec-WebSocket-Protocol: everywire\.v1$/m,
  },
  { what: 'no subprotocol', status: 101, answers: /^(?![\s\S]*Sec-WebSocket-Protocol)/i },
  {
    what: 'one on a raw channel, where none is selected',
    line: 'GET /channels/a HTTP/1.1',
    more: ['Sec-WebSocket-Protocol: chat'],
    status: 101,
    answers: /^(?![\s\S]*Sec-WebSocket-Protocol)/i,
  },
  {
    what: 'the answer to the key of RFC 6455 §1.3',
    status: 101,
    answers: /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=$/m,
  },
  {
    what: 'names in other cases',
    fields: { Upgrade: 'WebSocket', Connection: 'keep-alive, UPGRADE' },
    status: 101,
  },
  { what: 'an absolute target', line: 'GET http://127.0.0.1/ws?x=1 HTTP/1.1', status: 101 },
  ...[
    'permessage-deflate',
    'permessage-deflate; client_max_window_bits',
    'permessage-deflate; server_max_window_bits=99',
    'permessage-deflate; server_max_window_bits=10; server_max_window_bits=11',
    'permessage-deflate; unknown',
    'x-webkit-deflate-frame, permessage-deflate',
    ';;;=',
  ].map((offer) => ({
    what: `declines ${offer}`,
    more: [`Sec-WebSocket-Extensions: ${offer}`],
    status: 101,
    answers: /^(?![\s\S]*Sec-WebSocket-Extensions)/i,
  })),
];

let server: TestServer;
let port: number;

beforeAll(async () => {
  server = await startTestServer({});
  port = portOf(server);
});

afterAll(() => server.stop());

const portOf = ({ url }: TestServer) => Number(new URL(url).port);

async function ask(port: number, request: Buffer, slowly = false): Promise<RawClient> {
  const client = await RawClient.dial(port);
  if (slowly) await client.writeSlowly(request);
  else client.write(request);
  await client.until(() => client.head !== '');
  return client;
}

async function expectAnswer(one: HandshakeCase, client: RawClient): Promise<void> {
  expect(client.status).toBe(one.status);
  if (one.answers !== undefined) expect(client.head.replaceAll('\r', '')).toMatch(one.answers);
  if (one.status !== 101) {
    // A plain request keeps its connection; one that asked for an upgrade loses it.
    if (/^Connection: close\r?$/im.test(client.head)) await client.until(() => client.isEnded);
    else expect(one.fields).toBeDefined();
    const length = Number(/^Content-Length: (\d+)/im.exec(client.head)?.[1]);
    await client.until(() => client.body.length >= length);
    expect(JSON.parse(client.body.toString())).toMatchObject({ status: one.status });
    expect(client.body.toString()).not.toMatch(/node:|\.ts\b| {4}at /);
  }
  client.destroy();
}

test.each(cases)('$status for $what', async (one) => expectAnswer(one, await ask(port, requestOf(one))));

test('every case in writes of one byte', async () => {
  await tryAll(cases, async (one) => expectAnswer(one, await ask(port, requestOf(one), true)));
});

test('cut at every byte, the connection ends with ours', async () => {
  const request = requestOf({ what: '', status: 101 });
  await Promise.all(
    Array.from({ length: request.length }, async (_, at) => {
      const client = await RawClient.dial(port);
      client.socket.end(request.subarray(0, at));
      await client.until(() => client.isEnded);
      expect(client.head).not.toMatch(/ 101 /);
      client.destroy();
    }),
  );
});

test('a compressed frame is refused after an offer that was declined', async () => {
  const offer = ['Sec-WebSocket-Extensions: permessage-deflate'];
  const client = await ask(port, requestOf({ what: '', status: 101, more: offer }));
  client.write(clientFrame({ opcode: 1, payload: Buffer.from('abc'), rsv: 4 }));
  await client.until(() => client.isEnded);
  expect(client.closeCode).toBe(1002);
  client.destroy();
});

test('frames behind a handshake that is refused are not looked at', async () => {
  const request = requestOf({ what: '', status: 426, fields: { 'Sec-WebSocket-Version': '8' } });
  const frame = clientFrame({
    opcode: 1,
    payload: Buffer.from('{"id":1,"op":"publish","channel":"a","data":1}'),
  });
  const client = await ask(port, Buffer.concat([request, frame]));
  await client.until(() => client.isEnded);
  expect(client.status).toBe(426);
  expect(await (await fetch(`${server.url}/channels?filter=**`)).json()).toMatchObject({ channels: [] });
  client.destroy();
});

/** BAD-INPUT section 13: only what is listed, letter by letter. */
describe('origins, where an allow-list is configured', () => {
  let guarded: TestServer;

  beforeAll(async () => {
    guarded = await startTestServer({ allowedOrigins: [allowed] });
  });

  afterAll(() => guarded.stop());

  const origin = (value: string) => [`Origin: ${value}`];
  const refused = [
    'null',
    'https://allowed.example:8443',
    'http://allowed.example',
    'https://allowed.example.evil.com',
    'https://evil.com/allowed.example',
    'https://allowed.example.',
    'https://xn--llowed-xta.example',
    'https://user@allowed.example',
    'https://sub.allowed.example',
    'https://allowed.example/',
    'https://allowed.example https://allowed.example',
    '',
  ];
  const table: [string, readonly string[], number][] = [
    [allowed, origin(allowed), 101],
    ...refused.map((value): [string, readonly string[], number] => [value || 'empty', origin(value), 403]),
    ['two Origin fields', [...origin(allowed), ...origin('https://evil.com')], 403],
    ['this server itself', origin('http://127.0.0.1'), 101],
    ['a program, which has none', [], 101],
  ];

  test.each(['/ws', '/channels/a'].flatMap((path) => table.map((row) => [path, ...row] as const)))(
    '%s from %s',
    async (path, _what, more, status) => {
      const client = await ask(
        portOf(guarded),
        requestOf({ what: '', status, more, line: `GET ${path} HTTP/1.1` }),
      );
      await expectAnswer({ what: '', status }, client);
    },
  );
});
