import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Publish, Qos } from '@everywire/wires/mqtt';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** Messages that a lost connection left in flight, and that no subscription brings again by itself. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ store: 'memory:' });
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `resent/${(names += 1)}`;

async function open(clientId: string, properties: object = {}): Promise<RawClient> {
  const kept = { sessionExpiryIntervalSeconds: 3_600, ...properties };
  return (await RawClient.connected(server.mqtt!, { clientId, cleanStart: false, properties: kept })).client;
}

async function cut(client: RawClient): Promise<void> {
  await client.settled();
  client.cut();
  await client.closed;
}

type Origin = 'retained' | 'detached';

/** A reader that received one message, and left without an acknowledgement. */
async function leaveInFlight(
  topic: string,
  origin: Origin,
  { qos, payload = 'hello' }: { readonly qos: Qos; readonly payload?: string },
): Promise<Publish> {
  const writer = (await RawClient.connected(server.mqtt!)).client;
  const properties = { userProperties: [['lang', 'ko'] as const], responseTopic: 'answers' };
  const publish = () => writer.deliver(topic, payload, { qos: 2, retain: true, properties });
  const reader = await open(topic);
  if (origin === 'retained') await publish();
  const asked = { subscriptionIdentifiers: [7], userProperties: [['cursor', 'on'] as const] };
  await reader.subscribe(topic, { qos, retainAsPublished: true }, asked);
  if (origin === 'detached') await publish();
  const first = await reader.next('publish');
  if (origin === 'detached') await reader.unsubscribe(topic);
  await cut(reader);
  writer.disconnect();
  return first;
}

describe.each(['retained', 'detached'] as const)('a %s message', (origin) => {
  test.each([1, 2] as const)('comes again unchanged, with DUP, at QoS %d', async (qos) => {
    const topic = fresh();
    const first = await leaveInFlight(topic, origin, { qos });
    expect(first).toMatchObject({
      dup: false,
      retain: true,
      qos,
      properties: { subscriptionIdentifiers: [7] },
    });
    const again = await open(topic);
    expect(await again.take()).toEqual({ ...first, dup: true });
    again.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
  });

  test.each([1, 2] as const)(
    'that is too large for the next connection holds no place, at QoS %d',
    async (qos) => {
      const topic = fresh();
      await leaveInFlight(topic, origin, { qos, payload: 'x'.repeat(2_000) });
      const again = await open(topic, { maximumPacketSizeBytes: 1_000, receiveMaximum: 1 });
      // At QoS 2 the client may have it, so its packet id is freed by PUBREL.
      if (qos === 2) again.ack('pubcomp', (await again.next('pubrel')).packetId);
      const other = fresh();
      await again.subscribe(other, { qos: 1 });
      const writer = (await RawClient.connected(server.mqtt!)).client;
      for (const text of ['1', '2']) await writer.deliver(other, text);
      expect(await again.texts(2)).toEqual(['1', '2']);
      writer.disconnect();
      again.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
    },
  );
});

test.each([1, 2] as const)(
  'what its subscription brings again and is too large now holds no place, at QoS %d',
  async (qos) => {
    const topic = fresh();
    const writer = (await RawClient.connected(server.mqtt!)).client;
    const reader = await open(topic);
    await reader.subscribe(topic, { qos });
    await writer.deliver(topic, 'x'.repeat(2_000), { qos: 2 });
    await reader.next('publish');
    await cut(reader);
    const again = await open(topic, { maximumPacketSizeBytes: 1_000, receiveMaximum: 1 });
    if (qos === 2) again.ack('pubcomp', (await again.next('pubrel')).packetId);
    for (const text of ['1', '2']) await writer.deliver(topic, text);
    expect(await again.texts(2)).toEqual(['1', '2']);
    writer.disconnect();
    again.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
  },
);

test('many that were in flight come again, though they are more than a link takes at once', async () => {
  const topic = fresh();
  const writer = (await RawClient.connected(server.mqtt!)).client;
  const payload = 'x'.repeat(60_000);
  const count = 100;
  for (let at = 0; at < count; at += 1) await writer.deliver(`${topic}/${at}`, payload, { retain: true });
  const reader = await open(topic);
  await reader.subscribe(`${topic}/#`, { qos: 1 });
  await reader.until(() => reader.packets.filter(({ type }) => type === 'publish').length === count);
  await cut(reader);
  const again = await open(topic);
  for (let at = 0; at < count; at += 1) expect(await again.take()).toMatchObject({ dup: true, retain: true });
  writer.disconnect();
  again.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
});
