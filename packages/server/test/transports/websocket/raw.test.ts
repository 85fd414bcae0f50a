import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket as WsSocket } from 'ws';
import { RawClient } from '../../../../../test/clients/websocket/raw-client.ts';
import { clientFrame, textFrame } from '../../../../../test/clients/websocket/client-frames.ts';
import { HeldFollow } from '../../core/held-follow.ts';
import { TestServer } from './server.ts';

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start({ namespaces: [{ filter: 'short/**', retention: { countMax: 3 } }] });
});

afterEach(async () => {
  expect(server.errors).toEqual([]);
  await server.stop();
});

const header = (client: RawClient, name: string) =>
  new RegExp(`^${name}: (.*)$`, 'im').exec(client.head)?.[1]?.trim();

describe('frames are payloads', () => {
  test('text for text and JSON, binary for the rest and for what is not UTF-8', async () => {
    const client = await RawClient.open(server.port, '/channels/a');
    await server.publish('a', 'text', 'text/plain');
    await server.publish('a', '{"a":1}', 'application/json');
    await server.publish('a', 'bytes', 'application/octet-stream');
    await server.publish('a', Buffer.from([0xff]), 'text/plain');
    await server.publish('a', '', 'text/plain');
    await client.until(() => client.frames.length === 5);
    expect(client.frames.map(({ opcode, payload }) => [opcode, payload.toString('latin1')])).toEqual([
      [1, 'text'],
      [1, '{"a":1}'],
      [2, 'bytes'],
      [2, '\xff'],
      [1, ''],
    ]);
    client.destroy();
  });

  test('what a client sends is published, and comes back to it like to everybody', async () => {
    const reader = await RawClient.open(server.port, '/channels/a?format=envelope');
    const writer = await RawClient.open(server.port, '/channels/a');
    writer.write(Buffer.concat([textFrame('hi'), clientFrame({ opcode: 2, payload: Buffer.from([1, 2]) })]));
    await reader.until(() => reader.texts.length === 2);
    expect(reader.texts.map((text) => JSON.parse(text) as unknown)).toMatchObject([
      { channel: 'a', offset: 1, type: 'text/plain; charset=utf-8', data: 'hi' },
      { channel: 'a', offset: 2, type: 'application/octet-stream', base64: 'AQI=' },
    ]);
    await writer.until(() => writer.frames.length === 2);
    expect(writer.frames.map(({ opcode }) => opcode)).toEqual([1, 2]);
    reader.destroy();
    writer.destroy();
  });

  test('type names what is published, where it fits the kind of frame', async () => {
    const reader = await RawClient.open(server.port, '/channels/a?format=envelope');
    const writer = await RawClient.open(server.port, '/channels/a?type=application/json');
    writer.write(
      Buffer.concat([textFrame('{"a": 1}'), clientFrame({ opcode: 2, payload: Buffer.from('x') })]),
    );
    await reader.until(() => reader.texts.length === 2);
    expect(reader.texts.map((text) => (JSON.parse(text) as { type: string }).type)).toEqual([
      'application/json',
      'application/octet-stream',
    ]);
    writer.write(textFrame('{'));
    await writer.until(() => writer.closeCode !== undefined);
    expect(writer.closeReason).toMatch(/^malformed: /);
    reader.destroy();
    writer.destroy();
  });

  test('64 KiB go both ways', async () => {
    const socket = new WsSocket(server.url('/channels/a'));
    await once(socket, 'open');
    const payload = Buffer.alloc(65_536, 'x');
    socket.send(payload);
    const [echo] = (await once(socket, 'message')) as [Buffer];
    expect(echo.equals(payload)).toBe(true);
    socket.terminate();
  });
});

describe('the channel is the rest of the path', () => {
  test.each([
    ['chat/room-1', '/channels/chat/room-1'],
    ['a/b', '/channels/a%2Fb'],
    ['/a', '/channels//a'],
    ['a//b/', '/channels/a//b/'],
    ['..', '/channels/..'],
    ['한글', '/channels/%ED%95%9C%EA%B8%80'],
    ['a%2Fb', '/channels/a%252Fb'],
  ])('%s', async (channel, path) => {
    const client = await RawClient.open(server.port, path);
    await server.publish(channel, 'x');
    await client.until(() => client.texts.length === 1);
    client.destroy();
  });

  test('a filter gives envelopes, which name the channel', async () => {
    const client = await RawClient.open(server.port, '/channels/a/*');
    await server.publish('a/1', 'x');
    await client.until(() => client.texts.length === 1);
    expect(JSON.parse(client.texts[0]!)).toMatchObject({ channel: 'a/1', data: 'x' });
    client.write(textFrame('without a channel'));
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(4050);
    client.destroy();
  });
});

describe('resuming', () => {
  test('after a cursor, and by since', async () => {
    const cursor = await server.publish('a', '1');
    await server.publish('a', '2');
    await server.publish('a', '3');
    const after = await RawClient.open(server.port, `/channels/a?after=${cursor}`);
    expect(header(after, 'Everywire-Continuity')).toBe('exact');
    expect(header(after, 'Everywire-Cursor')).toBe(cursor);
    await after.until(() => after.texts.length === 2);
    expect(after.texts).toEqual(['2', '3']);
    const since = await RawClient.open(server.port, '/channels/a?since=earliest');
    await since.until(() => since.texts.length === 3);
    expect(since.texts).toEqual(['1', '2', '3']);
    after.destroy();
    since.destroy();
  });

  test('a gap closes a raw connection with the cursor to resume with', async () => {
    const cursor = await server.publish('short/a', '1');
    for (const text of ['2', '3', '4', '5', '6']) await server.publish('short/a', text);
    const client = await RawClient.open(server.port, `/channels/short/a?after=${cursor}`);
    expect(client.status).toBe(101);
    expect(header(client, 'Everywire-Continuity')).toBe('gap');
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(4002);
    expect(client.texts).toEqual([]);
    const next = /^gap retention 2-3 after=(\S+)$/.exec(client.closeReason)?.[1];
    const again = await RawClient.open(server.port, `/channels/short/a?after=${next}`);
    await again.until(() => again.texts.length === 3);
    expect(again.texts).toEqual(['4', '5', '6']);
    client.destroy();
    again.destroy();
  });

  test('with envelopes a gap is news', async () => {
    const cursor = await server.publish('short/a', '1');
    for (const text of ['2', '3', '4', '5', '6']) await server.publish('short/a', text);
    const client = await RawClient.open(server.port, `/channels/short/a?format=envelope&after=${cursor}`);
    await client.until(() => client.texts.length === 4);
    expect(client.texts.map((text) => JSON.parse(text) as unknown)).toMatchObject([
      { op: 'gap', channel: 'short/a', from: 2, to: 3, reason: 'retention' },
      { data: '4' },
      { data: '5' },
      { data: '6' },
    ]);
    client.destroy();
  });
});

describe('refused at the handshake', () => {
  test.each([
    ['an invalid cursor', '/channels/a?after=zzz', 400, 'bad_cursor'],
    ['a place under the name of another server', '/channels/a?offset=5', 400, 'invalid'],
    ['an invalid since', '/channels/a?since=last--1', 400, 'invalid'],
    ['an invalid format', '/channels/a?format=xml', 400, 'invalid'],
    ['a parameter twice', '/channels/a?after=x&after=y', 400, 'malformed'],
    ['no channel', '/channels/', 400, 'bad_name'],
    ['a channel of the server', '/channels/$SYS/x', 400, 'bad_name'],
    ['17 levels', `/channels/${'a/'.repeat(16)}a`, 400, 'bad_name'],
    ['256 bytes', `/channels/${'a'.repeat(256)}`, 400, 'bad_name'],
    ['a stray %', '/channels/a%', 400, 'malformed'],
    ['bytes that are not UTF-8', '/channels/%ff', 400, 'malformed'],
    ['a surrogate', '/channels/%ed%a0%80', 400, 'malformed'],
    ['a line break', '/channels/a%0Ab', 400, 'bad_name'],
  ])('%s', async (_, path, status, code) => {
    const client = await RawClient.open(server.port, path);
    expect(client.status).toBe(status);
    await client.until(() => client.isEnded);
    expect(header(client, 'Content-Type')).toBe('application/problem+json');
    expect(JSON.parse(client.body.toString())).toMatchObject({ status, code });
    client.destroy();
  });

  test('while the server is stopping', async () => {
    server.hub.beginDrain();
    const client = await RawClient.open(server.port, '/channels/a');
    expect(client.status).toBe(503);
    expect(header(client, 'Retry-After')).toMatch(/^[234]$/);
    client.destroy();
  });
});

test('a reader that stops is held at its cursor, and resumes exactly when it reads again', async () => {
  const slow = await RawClient.open(server.port, '/channels/a');
  const fast = await RawClient.open(server.port, '/channels/a');
  slow.socket.pause();
  const count = 6_000;
  // Beyond what the kernel's buffers take on loopback.
  const payload = 'x'.repeat(4_000);
  for (let from = 0; from < count; from += 200) {
    await Promise.all(Array.from({ length: 200 }, (_, at) => server.publish('a', `${from + at} ${payload}`)));
  }
  await fast.until(() => fast.texts.length === count, 20_000);
  expect(server.hub.figures.delivered).toBeLessThan(2 * count);
  slow.socket.resume();
  await slow.until(() => slow.frames.length >= count, 20_000);
  expect(slow.texts.every((text, at) => text.startsWith(`${at} `))).toBe(true);
  await server.publish('a', 'live again');
  await slow.until(() => slow.texts.at(-1) === 'live again');
  expect(slow.frames).toHaveLength(count + 1);
  slow.destroy();
  fast.destroy();
});

test('a session ends with its connection, however that ends', async () => {
  const sessions = () => server.hub.figures.sessions.get('websocket');
  const polite = new WsSocket(server.url('/channels/a'));
  await once(polite, 'open');
  const rude = await RawClient.open(server.port, '/channels/a');
  const half = await RawClient.open(server.port, '/ws');
  expect(sessions()).toBe(3);
  polite.close();
  await once(polite, 'close');
  half.socket.end();
  await half.until(() => half.isEnded);
  rude.socket.resetAndDestroy();
  while (sessions() !== 0) await new Promise(setImmediate);
  expect(server.hub.figures.subscriptions).toBe(0);
});

test('draining closes with 1012 when the server is about to be back', async () => {
  const restarting = await TestServer.start({ drainCode: 1012 });
  const client = new WsSocket(restarting.url('/channels/a'));
  await once(client, 'open');
  const closed = once(client, 'close');
  await restarting.stop();
  expect((await closed)[0]).toBe(1012);
});

test('a connection whose subscription is still being made when the server drains closes with its handshake', async () => {
  const stopping = await TestServer.start();
  const held = new HeldFollow(stopping.hub);
  const client = new WsSocket(stopping.url('/channels/a'));
  const closed = once(client, 'close');
  await held.isAsked;
  stopping.hub.beginDrain();
  held.release();
  expect((await closed)[0]).toBe(1001);
  await stopping.stop();
});
