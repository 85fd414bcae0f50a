import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `retained/${(names += 1)}`;
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}): Promise<RawClient> =>
  (await RawClient.connected(server.mqtt!, options)).client;

const short = ({
  topic,
  payload,
  qos,
  retain,
}: {
  topic: string;
  payload: Buffer;
  qos: number;
  retain: boolean;
}) => ({ topic, payload: payload.toString(), qos, retain });

describe.each([4, 5] as const)('version %d', (version) => {
  test('the newest one comes with retain set, at the lower QoS, before anything newer', async () => {
    const base = fresh();
    const writer = await open({ version });
    await writer.deliver(`${base}/a`, 'old', { retain: true });
    await writer.deliver(`${base}/a`, 'a', { retain: true, qos: 2 });
    await writer.deliver(`${base}/b`, 'b', { retain: true });
    await writer.deliver(`${base}/c`, 'not kept');
    writer.publish(`${base}/d`, 'd', { retain: true });
    await writer.settled();
    const reader = await open({ version });
    expect(await reader.subscribe(`${base}/#`, { qos: 1 })).toBe(1);
    const got = [await reader.take(), await reader.take(), await reader.take()].map(short);
    expect(got).toEqual([
      { topic: `${base}/a`, payload: 'a', qos: 1, retain: true },
      { topic: `${base}/b`, payload: 'b', qos: 1, retain: true },
      { topic: `${base}/d`, payload: 'd', qos: 0, retain: true },
    ]);
    await writer.deliver(`${base}/a`, 'live', { retain: true });
    expect(short(await reader.take())).toEqual({
      topic: `${base}/a`,
      payload: 'live',
      qos: 1,
      retain: false,
    });
    await reader.settled();
    expect(reader.packets).toEqual([]);
    for (const one of [reader, writer]) one.disconnect();
  });

  test('subscribing again brings it again; an empty payload removes it', async () => {
    const topic = fresh();
    const client = await open({ version });
    await client.deliver(topic, 'kept', { retain: true });
    await client.subscribe(topic);
    expect((await client.take()).retain).toBe(true);
    await client.subscribe(topic);
    expect((await client.take()).retain).toBe(true);
    await client.deliver(topic, '', { retain: true });
    expect(short(await client.take())).toMatchObject({ payload: '', retain: false });
    await client.subscribe(topic);
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });

  test('more than the client takes at once come as it acknowledges them, and over two connections', async () => {
    const base = fresh();
    const writer = await open();
    for (let at = 0; at < 300; at += 1) writer.publish(`${base}/${at}`, String(at), { qos: 0, retain: true });
    await writer.settled();
    const stays = { version, clientId: base, cleanStart: false };
    const properties =
      version === 5 ? { sessionExpiryIntervalSeconds: 60, receiveMaximum: 10 } : ({} as const);
    const reader = await open({ ...stays, properties });
    // At QoS 2 each takes two round trips.
    for (let at = 0; at < 300; at += 1)
      await writer.deliver(`${base}/${at}`, String(at), { qos: 1, retain: true });
    await reader.subscribe(`${base}/+`, { qos: 1 });
    const seen = new Set<string>();
    for (let at = 0; at < 100; at += 1) {
      const publish = await reader.next('publish');
      expect(publish.retain).toBe(true);
      seen.add(publish.payload.toString());
      reader.ack('puback', publish.packetId);
    }
    await reader.settled();
    reader.cut();
    await reader.closed;
    const again = await open({ ...stays, properties });
    while (seen.size < 300) seen.add((await again.take()).payload.toString());
    await writer.deliver(`${base}/0`, 'live');
    for (;;) {
      const { payload, retain } = await again.take();
      if (payload.toString() !== 'live') continue;
      expect(retain).toBe(false);
      break;
    }
    for (const one of [again, writer]) one.disconnect();
  });
});

describe('options of MQTT 5', () => {
  test('retain handling: always, only when new, never', async () => {
    const topic = fresh();
    const client = await open();
    await client.deliver(topic, 'kept', { retain: true });
    await client.subscribe(topic, { retainHandling: 2 });
    await client.subscribe(topic, { retainHandling: 1 });
    await client.settled();
    expect(client.packets).toEqual([]);
    await client.unsubscribe(topic);
    await client.subscribe(topic, { retainHandling: 1 });
    expect((await client.take()).payload.toString()).toBe('kept');
    await client.subscribe(topic, { retainHandling: 0 });
    expect((await client.take()).payload.toString()).toBe('kept');
    client.disconnect();
  });

  test('retain as published', async () => {
    const topic = fresh();
    const client = await open();
    await client.subscribe(topic, { retainAsPublished: true });
    await client.deliver(topic, 'kept', { retain: true });
    expect((await client.take()).retain).toBe(true);
    await client.deliver(topic, 'not');
    expect((await client.take()).retain).toBe(false);
    client.disconnect();
  });

  test('one that has expired is not given', async () => {
    const topic = fresh();
    const client = await open();
    await client.deliver(topic, 'short', { retain: true, properties: { messageExpiryIntervalSeconds: 1 } });
    await client.subscribe(topic);
    const first = await client.take();
    expect(first.properties.messageExpiryIntervalSeconds).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await client.subscribe(topic);
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });

  test('a shared subscription and a replay are given none', async () => {
    const topic = fresh();
    const client = await open();
    await client.deliver(topic, 'kept', { retain: true });
    await client.subscribe(`$share/g/${topic}`, { qos: 1 });
    await client.settled();
    expect(client.packets).toEqual([]);
    await client.subscribe(`$since/earliest/${topic}`, { qos: 1 });
    expect(short(await client.take())).toMatchObject({ payload: 'kept', retain: false });
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });
});

test('a retained message and what is published while a client subscribes come once, in order', async () => {
  const base = fresh();
  const writer = await open();
  const rounds = 40;
  for (let round = 0; round < rounds; round += 1) {
    const topic = `${base}/${round}`;
    await writer.deliver(topic, '0', { retain: true });
    const reader = await open();
    const subscribed = reader.subscribe(topic, { qos: 1 });
    for (let at = 1; at <= 5; at += 1) writer.publish(topic, String(at), { qos: 1, retain: true });
    await subscribed;
    for (let at = 1; at <= 5; at += 1) await writer.next('puback');
    await writer.deliver(topic, 'end');
    const seen: string[] = [];
    while (seen.at(-1) !== 'end') seen.push(...(await reader.texts(1)));
    const first = Number(seen[0]);
    const expected = Array.from({ length: 6 - first }, (_, at) => String(first + at));
    expect(seen).toEqual([...expected.filter((text) => text !== 'NaN'), 'end']);
    reader.disconnect();
  }
  writer.disconnect();
});
