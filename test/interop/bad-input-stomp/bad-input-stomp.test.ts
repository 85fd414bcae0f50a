import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StompClient } from '../../clients/stomp/client.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { tryAll } from '../../support/try-all.ts';
import { cases, type StompCase } from '../../cases/stomp.ts';

/** Those that wait for the deadline do so together. */
const waitingTogetherMax = 64;
/** Of longer ones only the beginning is written byte by byte. */
const singleBytesUpTo = 400;

let server: TestServer;
let healthy: StompClient;
const opened: StompClient[] = [];
let runs = 0;

beforeAll(async () => {
  server = await startTestServer({ limits: { handshakeTimeoutMs: 3_000 } });
  healthy = await StompClient.open(server.stomp!);
  await healthy.connect();
  await healthy.ask('SUBSCRIBE', { id: 'h', destination: '/topic/healthy' });
});
afterAll(async () => {
  for (const client of [healthy, ...opened]) client.cut();
  await server.stop();
});

async function openCase(one: StompCase, version: string, url = server.stomp!): Promise<StompClient> {
  const client = await StompClient.open(url);
  opened.push(client);
  if (one.isFirst !== true) await client.connect({ 'accept-version': version });
  return client;
}

/** The bytes of the case, with its own channel in place of the common one, so that the test can count its messages. */
function bytesOf({ send }: StompCase, channel: string): Buffer {
  return Buffer.from(
    Buffer.from(send as string)
      .toString('latin1')
      .replaceAll('/topic/case', `/${channel}`),
    'latin1',
  );
}

async function stored(channel: string): Promise<number> {
  const page = await (await fetch(`${server.url}/channels/${channel}`)).json();
  return (page as { messages: unknown[] }).messages.length;
}

async function expectAnswer(one: StompCase, client: StompClient): Promise<void> {
  if (one.code === undefined) {
    if (one.isFirst === true) expect((await client.next()).command).toBe('CONNECTED');
    expect(await client.ask('BEGIN', { transaction: 'alive' })).toMatchObject({ command: 'RECEIPT' });
    return;
  }
  const { headers, body } = await client.error();
  expect(headers['message']).toBe(one.code);
  expect(headers['receipt-id']).toBe(one.receipt);
  expect(client.frames.filter(({ command }) => command === 'ERROR')).toHaveLength(1);
  expect(body.toString()).not.toMatch(/\bat .*:\d+|node_modules|packages\//);
  if (one.id.startsWith('6.1.')) expect(headers['version']).toBe('1.0,1.1,1.2');
}

async function expectHealth(): Promise<void> {
  healthy.send('SEND', { destination: '/topic/healthy' }, 'x');
  await healthy.next();
}

/** In every version where the case says so: in others the reader alone is tried with it (test/cases). */
const spoken = cases.flatMap((one) => (one.versions ?? ['1.2']).map((version) => ({ ...one, version, one })));
const behind = (channel: string): Buffer => Buffer.from(`SEND\ndestination:/${channel}/behind\n\nx\0`);

describe.each(spoken)('$id $what, in $version', ({ one, version }) => {
  test('whole, over TCP and over WebSocket', async () => {
    for (const url of [server.stomp!, server.url]) {
      const channel = `case/${(runs += 1)}`;
      const client = await openCase(one, version, url);
      const bytes = bytesOf(one, channel);
      // A WebSocket message has a separate limit, which this case does not test.
      for (let at = 0; at < bytes.length; at += 8_000) client.write(bytes.subarray(at, at + 8_000));
      await expectAnswer(one, client);
      if (one.code !== undefined) expect(await stored(channel)).toBe(0);
    }
    await expectHealth();
  });

  test('a valid message behind it is not processed after a fatal error', async () => {
    const channel = `case/${(runs += 1)}`;
    const client = await openCase(one, version);
    client.write(Buffer.concat([bytesOf(one, channel), behind(channel)]));
    await expectAnswer(one, client);
    if (one.code !== undefined) expect(await stored(`${channel}/behind`)).toBe(0);
  });
});

test('every case in single bytes', async () => {
  await tryAll(spoken, async ({ one, version }) => {
    const channel = `case/${(runs += 1)}`;
    const client = await openCase(one, version);
    const bytes = bytesOf(one, channel);
    const singles = bytes.length <= singleBytesUpTo ? bytes.length : singleBytesUpTo / 2;
    for (const byte of bytes.subarray(0, singles)) client.write(Buffer.of(byte));
    client.write(bytes.subarray(singles));
    await expectAnswer(one, client);
    client.cut();
  });
});

// Every place of every case is tried on the reader, in test/cases.
test('every case cut in the middle stores nothing, and waits for no longer than a deadline', async () => {
  await tryAll(
    spoken,
    async ({ one, version }) => {
      const channel = `case/${(runs += 1)}`;
      const client = await openCase(one, version);
      const bytes = bytesOf(one, channel);
      client.write(bytes.subarray(0, bytes.length / 2));
      client.end();
      await client.closed();
      // A cut input may hold whole frames, but never the frame that the case tests.
      if (one.code !== undefined) expect(await stored(channel)).toBe(0);
    },
    waitingTogetherMax,
  );
  await expectHealth();
});

describe('over time', () => {
  test.each([
    ['before CONNECT', true],
    ['in a frame', false],
  ])('half a frame %s is not waited for', async (_when, isFirst) => {
    const client = await StompClient.open(server.stomp!);
    opened.push(client);
    if (!isFirst) await client.connect();
    client.write(isFirst ? 'CONNECT\naccept-version:1.2\n' : 'SEND\ndestination:/topic/a\n');
    expect((await client.error()).headers['message']).toBe('timed_out');
  });

  test('a connection without heart-beats may be silent for as long as it likes', async () => {
    const client = await StompClient.open(server.stomp!);
    opened.push(client);
    await client.connect();
    const other = await StompClient.open(server.stomp!);
    opened.push(other);
    // Another one that runs out of time tells when that time is over.
    await other.error();
    expect(await client.ask('BEGIN', { transaction: 't' })).toMatchObject({ command: 'RECEIPT' });
  });

  test('frames behind DISCONNECT are ignored', async () => {
    const client = await StompClient.open(server.stomp!);
    opened.push(client);
    await client.connect();
    client.write('DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/case/after\n\nx\0EXPLODE\n\n\0');
    await client.closed();
    expect(client.frames.at(-1)!.headers['receipt-id']).toBe('bye');
    expect(await stored('case/after')).toBe(0);
  });
});

describe('over WebSocket', () => {
  test('half a frame in a message, and several frames in one, are the same stream', async () => {
    const client = await StompClient.open(server.url);
    opened.push(client);
    const bytes = Buffer.from(
      'CONNECT\naccept-version:1.2\n\n\0BEGIN\ntransaction:a\nreceipt:a\n\n\0BEGIN\ntransaction:b\nreceipt:b\n\n\0',
    );
    for (let at = 0; at < bytes.length; at += 13) client.write(bytes.subarray(at, at + 13));
    const frames = await client.take(3);
    expect(frames.map(({ headers }) => headers['receipt-id'])).toEqual([undefined, 'a', 'b']);
    client.write('BEGIN\ntransaction:c\nreceipt:c\n\n\0BEGIN\ntransaction:d\nreceipt:d\n\n\0');
    expect((await client.take(2)).map(({ headers }) => headers['receipt-id'])).toEqual(['c', 'd']);
  });
});
