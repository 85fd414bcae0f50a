import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, connect, ways, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** Home Assistant subscribes to a topic or two of each of its entities, on one connection. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ store: 'memory:' });
});
afterAll(() => server.stop());

const count = 300;
const topics = (base: string): string[] =>
  Array.from({ length: count }, (_, at) => `${base}/entity-${at}/state`);

test.each(ways)('$name: 300 filters in one SUBSCRIBE, and one by one', async (way) => {
  const writer = await connect(server, way);
  for (const how of ['at once', 'one by one']) {
    const names = topics(`${way.name.replaceAll(' ', '-')}/${how}`);
    const client = await connect(server, way);
    if (how === 'at once') await client.mqtt.subscribeAsync(names, { qos: 0 });
    else for (const name of names) await client.mqtt.subscribeAsync(name, { qos: 0 });
    for (const name of names) await writer.mqtt.publishAsync(name, 'on', { qos: 1 });
    const seen = new Set<string>();
    while (seen.size < count) seen.add((await client.next()).topic);
    expect(seen).toEqual(new Set(names));
    await client.mqtt.endAsync();
  }
  await writer.mqtt.endAsync();
});

test('4,096 filters are granted, and one more says why not', async () => {
  const { client } = await RawClient.connected(server.mqtt!);
  const most = 4_096;
  const filters = Array.from(
    { length: most + 1 },
    (_, at) =>
      ({
        filter: `many/${at}`,
        isWellFormed: true,
        qos: 0,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
      }) as const,
  );
  client.send({ type: 'subscribe', packetId: 1, filters, properties: {} });
  const { reasonCodes } = await client.next('suback');
  expect(reasonCodes.slice(0, most).every((code) => code === 0)).toBe(true);
  expect(reasonCodes[most]).toBe(0x97);
  await client.deliver('many/4095', 'here');
  expect((await client.take()).payload.toString()).toBe('here');
  client.disconnect();
});

test.each(ways)(
  '$name: a payload of 900 KB, as bridge/devices of zigbee2mqtt, is kept and comes back',
  async (way) => {
    const topic = `zigbee/${way.name.replaceAll(' ', '-')}/bridge/devices`;
    const devices = JSON.stringify(
      Array.from({ length: 9_000 }, (_, at) => ({ ieee_address: at, definition: 'x'.repeat(60) })),
    );
    expect(devices.length).toBeGreaterThan(800_000);
    const writer = await connect(server, way);
    await writer.mqtt.publishAsync(topic, devices, { qos: 1, retain: true });
    const reader = await connect(server, way);
    await reader.mqtt.subscribeAsync(topic, { qos: 1 });
    expect((await reader.next()).payload.toString()).toBe(devices);
    for (const one of [writer, reader]) await one.mqtt.endAsync();
  },
);
