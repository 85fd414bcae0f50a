import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `will/${(names += 1)}`;
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}): Promise<RawClient> =>
  (await RawClient.connected(server.mqtt!, options)).client;

const will = (topic: string, delaySeconds?: number) => ({
  topic,
  payload: Buffer.from('gone'),
  qos: 1 as const,
  retain: false,
  properties: delaySeconds === undefined ? {} : { willDelayIntervalSeconds: delaySeconds },
});

async function follow(topic: string): Promise<RawClient> {
  const reader = await open();
  await reader.subscribe(topic, { qos: 1 });
  return reader;
}

/** Nothing came, and what was published after it has. */
async function expectNothing(reader: RawClient, topic: string): Promise<void> {
  await reader.deliver(topic, 'mark');
  expect(await reader.texts(1)).toEqual(['mark']);
}

describe.each([4, 5] as const)('version %d', (version) => {
  test('is published when the connection is cut, and not after DISCONNECT', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const polite = await open({ version, will: will(topic) });
    polite.disconnect();
    await polite.closed;
    await expectNothing(reader, topic);
    const lost = await open({ version, will: will(topic) });
    lost.cut();
    const published = await reader.take();
    expect(published).toMatchObject({ qos: 1, retain: false, payload: Buffer.from('gone') });
    reader.disconnect();
  });

  test('is published for what breaks the protocol, and for silence', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const wrong = await open({ version, will: will(topic) });
    wrong.write(Buffer.from([0xff, 0]));
    expect(await reader.texts(1)).toEqual(['gone']);
    const silent = await open({ version, will: will(topic), keepAliveSeconds: 1 });
    expect(await reader.texts(1)).toEqual(['gone']);
    if (version === 5) expect(await silent.next('disconnect')).toMatchObject({ reasonCode: 0x8d });
    await silent.closed;
    reader.disconnect();
  });

  test('a retained one is there for later subscribers', async () => {
    const topic = fresh();
    const lost = await open({ version, will: { ...will(topic), retain: true } });
    const watching = await follow(topic);
    lost.cut();
    await watching.take();
    const later = await follow(topic);
    expect(await later.take()).toMatchObject({ retain: true, payload: Buffer.from('gone') });
    for (const one of [watching, later]) one.disconnect();
  });

  test('one that may not be published is refused at CONNECT', async () => {
    const client = await RawClient.open(server.mqtt!, version);
    const { reasonCode } = await client.connect({ version, will: will('$SYS/x') });
    expect(reasonCode).toBe(version === 5 ? 0x90 : 0x87);
    await client.closed;
  });
});

describe('delay', () => {
  const stays = { properties: { sessionExpiryIntervalSeconds: 60 } };

  test('is waited for, and the return in time takes the will back', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const lost = await open({ clientId: topic, will: will(topic, 1), ...stays });
    lost.cut();
    await lost.closed;
    await expectNothing(reader, topic);
    const back = await open({ clientId: topic, cleanStart: false, ...stays });
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    await expectNothing(reader, topic);
    back.disconnect();
    const again = await open({ clientId: topic, will: will(topic, 1), ...stays });
    again.cut();
    await again.closed;
    await expectNothing(reader, topic);
    expect(await reader.texts(1)).toEqual(['gone']);
    reader.disconnect();
  });

  test('ends with the session', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const brief = await open({ clientId: topic, will: will(topic, 60) });
    brief.cut();
    expect(await reader.texts(1)).toEqual(['gone']);
    const kept = await open({ clientId: topic, will: will(topic, 60), ...stays });
    kept.cut();
    await kept.closed;
    await expectNothing(reader, topic);
    const clean = await open({ clientId: topic, cleanStart: true });
    expect(await reader.texts(1)).toEqual(['gone']);
    for (const one of [clean, reader]) one.disconnect();
  });

  test('a client that takes the session over in time was never away; without a delay the will is published', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const first = await open({ clientId: topic, cleanStart: false, will: will(topic, 60), ...stays });
    const second = await open({ clientId: topic, cleanStart: false, will: will(topic), ...stays });
    await first.closed;
    await expectNothing(reader, topic);
    const third = await open({ clientId: topic, cleanStart: false, ...stays });
    await second.closed;
    expect(await reader.texts(1)).toEqual(['gone']);
    for (const one of [third, reader]) one.disconnect();
  });

  test('DISCONNECT 0x04 asks for the will', async () => {
    const topic = fresh();
    const reader = await follow(topic);
    const client = await open({ will: will(topic) });
    client.disconnect(4);
    expect(await reader.texts(1)).toEqual(['gone']);
    reader.disconnect();
  });
});

test('its properties are those of the message', async () => {
  const topic = fresh();
  const reader = await follow(topic);
  const lost = await open({
    will: {
      ...will(topic),
      properties: {
        payloadFormatIndicator: 1,
        contentType: 'text/plain',
        responseTopic: 'answer/here',
        correlationData: Buffer.from([1, 2, 3]),
        messageExpiryIntervalSeconds: 100,
        userProperties: [
          ['a', '1'],
          ['a', '2'],
        ],
      },
    },
  });
  lost.cut();
  expect((await reader.take()).properties).toEqual({
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    responseTopic: 'answer/here',
    correlationData: Buffer.from([1, 2, 3]),
    messageExpiryIntervalSeconds: 100,
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
  });
  reader.disconnect();
});

test('a server that stops tells its clients, publishes wills of sessions that end, and keeps those of sessions that do not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-will-'));
  const store = `lmdb:${folder}`;
  const limits = { retryAfterMs: 200 };
  try {
    const first = await startTestServer({ store, limits });
    const stays = {
      clientId: 'stays',
      will: will('will/stays'),
      properties: { sessionExpiryIntervalSeconds: 60 },
    };
    const { client: staying } = await RawClient.connected(first.mqtt!, stays);
    const { client: brief } = await RawClient.connected(first.mqtt!, { will: will('will/brief') });
    const stopped = first.stop();
    expect(await staying.next('disconnect')).toMatchObject({ reasonCode: 0x8b });
    expect(await brief.next('disconnect')).toMatchObject({ reasonCode: 0x8b });
    await stopped;
    const second = await startTestServer({ store, limits });
    const { client: reader } = await RawClient.connected(second.mqtt!);
    await reader.subscribe('$since/earliest/will/#', { qos: 1 });
    expect((await reader.take()).topic).toBe('will/brief');
    expect((await reader.take()).topic).toBe('will/stays');
    reader.disconnect();
    await second.stop();
  } finally {
    await rm(folder, { recursive: true });
  }
});
