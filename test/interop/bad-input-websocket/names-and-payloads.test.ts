import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { TestServer } from '../../../packages/server/test/transports/websocket/server.ts';
import { clientFrame, textFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';

/** BAD-INPUT section 12, on WebSocket. */

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  expect(server.errors).toEqual([]);
  await server.stop();
});

interface Answer {
  readonly ok: boolean;
  readonly error?: { readonly code: string };
}

async function ask(client: RawClient, command: object): Promise<Answer> {
  const answers = () => client.texts.filter((text) => text.startsWith('{"id":'));
  const count = answers().length;
  client.write(textFrame(JSON.stringify({ id: count, ...command })));
  await client.until(() => answers().length > count);
  return JSON.parse(answers()[count]!) as Answer;
}

const badNames: readonly (readonly [string, string])[] = [
  ['empty', ''],
  ['256 bytes', 'a'.repeat(256)],
  ['256 bytes of Korean', '한'.repeat(86)],
  ['17 levels', `${'a/'.repeat(16)}a`],
  ['a plus inside', 'a+b'],
  ['a hash inside', 'a#b'],
  ['a star inside', 'a*b'],
  ['CR', 'a\rb'],
  ['LF', 'a\nb'],
  ['TAB', 'a\tb'],
  ['NUL', 'a\u0000b'],
  ['U+0085', 'a\u0085b'],
  ['first level $x', '$x/a'],
  ['$SYS', '$SYS/broker'],
];

const badFilters: readonly (readonly [string, string])[] = [
  ['5 wildcards', '*/*/*/*/*'],
  ['** not at the end', '**/a'],
  ['# not at the end', '#/a'],
  ['a wildcard beside letters', 'a*'],
  ['$SYS/#', '$SYS/#'],
  ['$share with $SYS', '$share/g/$SYS/#'],
];

describe('refused on every way in', () => {
  test.each(badNames)('channel: %s', async (_, name) => {
    const client = await RawClient.open(server.port, '/ws');
    const stored = server.hub.head.seq;
    for (const command of [
      { op: 'subscribe', channel: name },
      { op: 'publish', channel: name, data: 1 },
    ]) {
      expect((await ask(client, command)).error?.code).toBe('bad_name');
    }
    const raw = await RawClient.open(server.port, `/channels/${encodeURIComponent(name)}`);
    expect(raw.status).toBe(400);
    expect(server.hub.head.seq).toBe(stored);
    client.destroy();
    raw.destroy();
  });

  test.each(badFilters)('filter: %s', async (_, filter) => {
    const client = await RawClient.open(server.port, '/ws');
    expect((await ask(client, { op: 'subscribe', channel: filter })).error?.code).toBe('bad_name');
    const raw = await RawClient.open(server.port, `/channels/${encodeURIComponent(filter)}`);
    expect(raw.status).toBe(400);
    client.destroy();
    raw.destroy();
  });

  test.each([
    ['ff fe', '%ff%fe'],
    ['a surrogate', '%ed%a0%80'],
    ['overlong', '%c0%80'],
    ['5 bytes', '%f8%88%80%80%80'],
    ['raw Latin-1', 'caf\u00e9'],
  ])('bytes that are not UTF-8 in the path: %s', async (_, path) => {
    const raw = await RawClient.dial(server.port);
    raw.write(
      Buffer.from(
        `GET /channels/${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        'latin1',
      ),
    );
    await raw.until(() => raw.head !== '');
    expect(raw.status).toBe(400);
    raw.destroy();
  });
});

test('names that look alike are different channels, and none is normalised', async () => {
  const names = [
    '/a',
    'a',
    'a/',
    'a//b',
    '..',
    '%2f',
    '%252f',
    '\u2028',
    '\u00e9',
    'e\u0301',
    '\ufeffa',
    '__proto__',
    'constructor',
  ];
  const publisher = await RawClient.open(server.port, '/ws');
  const readers = await Promise.all(
    names.map((name) => {
      const path = name.split('/').map(encodeURIComponent).join('/');
      return RawClient.open(server.port, `/channels/${path}`);
    }),
  );
  for (const name of names)
    expect((await ask(publisher, { op: 'publish', channel: name, data: name })).ok).toBe(true);
  for (const [at, reader] of readers.entries()) {
    await reader.until(() => reader.texts.length > 0);
    expect(reader.texts).toEqual([names[at]]);
    reader.destroy();
  }
  publisher.destroy();
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

test('+ and # mean * and **', async () => {
  const client = await RawClient.open(server.port, '/ws');
  await ask(client, { op: 'subscribe', channel: 'same/+/#' });
  expect((await ask(client, { op: 'unsubscribe', channel: 'same/*/**' })).ok).toBe(true);
  client.destroy();
});

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
const payloads: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from('x')],
  ['the most', Buffer.alloc(defaultLimits.payloadBytesMax, 'x')],
  ['every byte', everyByte],
  ['text that is not UTF-8', Buffer.from('c080eda080', 'hex')],
  ['control characters', Buffer.from(Array.from({ length: 32 }, (_, at) => at))],
  ['an empty line', Buffer.from('\r\n\r\n')],
  ['64 KiB of [', Buffer.alloc(65_536, '[')],
  ['a byte order mark', Buffer.from('\ufeffx')],
  ['the look of an SSE event', Buffer.from('id: 1\ndata: x\n\n')],
  ['the look of a STOMP frame', Buffer.from('SEND\ndestination:/a\n\nx\u0000')],
  ['the look of an MQTT packet', Buffer.from('300a0001614869', 'hex')],
  ['the look of a Close frame', Buffer.from('880203e8', 'hex')],
  ['the look of a command', Buffer.from('{"id":1,"op":"ping"}')],
  ['the look of a Socket.IO packet', Buffer.from('451-["x",{"_placeholder":true,"num":0}]')],
];

const types = ['application/octet-stream', 'text/plain', 'image/png'];

describe('payloads arrive byte for byte', () => {
  test.each(payloads)('%s', async (_, payload) => {
    const channel = `payload/${Math.random().toString(36).slice(2)}`;
    const raw = await RawClient.open(server.port, `/channels/${channel}`);
    const commands = await RawClient.open(server.port, '/ws');
    await ask(commands, { op: 'subscribe', channel });
    for (const type of types) {
      const base64 = payload.toString('base64');
      expect((await ask(commands, { op: 'publish', channel, base64, type })).ok).toBe(true);
    }
    raw.write(clientFrame({ opcode: 2, payload }));
    await raw.until(() => raw.frames.length === types.length + 1);
    for (const frame of raw.frames) expect(frame.payload.equals(payload)).toBe(true);
    const messages = () => commands.texts.filter((text) => text.startsWith('{"op":"message"'));
    await commands.until(() => messages().length === types.length + 1);
    for (const text of messages()) {
      const { data, base64 } = JSON.parse(text) as { data?: string; base64?: string };
      const received = base64 === undefined ? Buffer.from(data!) : Buffer.from(base64, 'base64');
      expect(received.equals(payload)).toBe(true);
    }
    expect([raw.closeCode, commands.closeCode]).toEqual([undefined, undefined]);
    raw.destroy();
    commands.destroy();
  });

  test('one byte too many is refused, as a command and as a frame', async () => {
    const payload = Buffer.alloc(defaultLimits.payloadBytesMax + 1, 'x');
    const commands = await RawClient.open(server.port, '/ws');
    const stored = server.hub.head.seq;
    const command = { op: 'publish', channel: 'a', base64: payload.toString('base64') };
    expect((await ask(commands, command)).error?.code).toBe('too_large');
    const raw = await RawClient.open(server.port, '/channels/a');
    raw.write(clientFrame({ opcode: 2, payload }));
    await raw.until(() => raw.closeCode !== undefined);
    expect(raw.closeCode).toBe(1009);
    expect(server.hub.head.seq).toBe(stored);
    commands.destroy();
    raw.destroy();
  });

  test('headers under names of the server are dropped, however they are written', async () => {
    const client = await RawClient.open(server.port, '/ws');
    await ask(client, { op: 'subscribe', channel: 'headers' });
    const headers = { 'Everywire-Cursor': 'x', 'EVERYWIRE-from': 'root', kept: 'yes' };
    await ask(client, { op: 'publish', channel: 'headers', data: 1, headers });
    await client.until(() => client.texts.some((text) => text.startsWith('{"op":"message"')));
    const message = client.texts.find((text) => text.startsWith('{"op":"message"'))!;
    expect(JSON.parse(message)).toMatchObject({ headers: { kept: 'yes' } });
    expect(message).not.toMatch(/root|"from"/);
    client.destroy();
  });
});
