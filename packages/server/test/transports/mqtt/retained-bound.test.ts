import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** If the limit of retained messages is reached, the message itself is still stored: MQTT has no answer for half a refusal. */

const most = 2;
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ limits: { retainedMax: most } });
  const { client } = await RawClient.connected(server.mqtt!);
  for (let at = 0; at < most; at += 1) await client.deliver(`full/${at}`, 'kept', { retain: true });
  client.disconnect();
});
afterAll(() => server.stop());

async function reader(filter: string): Promise<RawClient> {
  const { client } = await RawClient.connected(server.mqtt!);
  await client.subscribe(filter, { qos: 2 });
  return client;
}

test.each([4, 5] as const)('a message of MQTT version %d is delivered, and not kept', async (version) => {
  const topic = `more/${version}`;
  const here = await reader(topic);
  const { client } = await RawClient.connected(server.mqtt!, { version });
  for (const qos of [0, 1, 2] as const) {
    if (qos === 0) client.publish(topic, '0', { retain: true });
    else expect(await client.deliver(topic, String(qos), { qos, retain: true })).toBe(0);
  }
  await client.settled();
  expect(client.isClosed).toBe(false);
  expect(await here.texts(3)).toEqual(['0', '1', '2']);
  const later = await reader(topic);
  await later.settled();
  expect(later.packets).toEqual([]);
  for (const one of [here, later, client]) one.disconnect();
});

test.each([4, 5] as const)('a will of MQTT version %d is delivered, and not kept', async (version) => {
  const topic = `wills/${version}`;
  const here = await reader(topic);
  const will = { topic, payload: Buffer.from('gone'), qos: 1, retain: true, properties: {} } as const;
  const { client, connack } = await RawClient.connected(server.mqtt!, { version, clientId: topic, will });
  expect(connack.reasonCode).toBe(0);
  client.cut();
  expect(await here.texts(1)).toEqual(['gone']);
  here.disconnect();
});

test('one that is kept already may still be replaced, and the others say that there is no room', async () => {
  const { client } = await RawClient.connected(server.mqtt!);
  await client.deliver('full/0', 'newer', { retain: true });
  const here = await reader('full/0');
  expect(await here.texts(1)).toEqual(['newer']);
  const post = await fetch(`${server.url}/channels/http`, {
    method: 'POST',
    headers: { 'Everywire-Retain': 'true', 'Content-Type': 'text/plain' },
    body: 'x',
  });
  expect(post.ok).toBe(false);
  for (const one of [here, client]) one.disconnect();
});
