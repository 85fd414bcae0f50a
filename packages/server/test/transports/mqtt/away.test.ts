import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** Sessions whose clients are away: the server keeps a position, packets in flight and subscriptions; never a queue. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    store: 'memory:',
    namespaces: { 'short/**': { retention: { count: 5 } } },
    limits: { sessionsMax: 300 },
  });
});
afterAll(() => server.stop());

const kept = { sessionExpiryIntervalSeconds: 3_600 };
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}) =>
  RawClient.connected(server.mqtt!, options);

async function leave(client: RawClient, how: 'disconnect' | 'cut'): Promise<void> {
  client[how]();
  await client.closed;
}

test('200 of them on a busy topic cause no write for any message, and each gets everything', async () => {
  const names = Array.from({ length: 200 }, (_, at) => `away-${at}`);
  for (const [at, clientId] of names.entries()) {
    const { client } = await open({ clientId, cleanStart: false, properties: kept });
    expect(await client.subscribe('busy/#', { qos: at % 2 === 0 ? 1 : 2 })).toBe(at % 2 === 0 ? 1 : 2);
    await leave(client, at % 3 === 0 ? 'cut' : 'disconnect');
  }
  const { client: writer } = await open();
  await writer.settled();
  const writes = vi.spyOn(MemoryRecords.prototype, 'write');
  const messages = Array.from({ length: 100 }, (_, at) => String(at));
  for (const payload of messages) await writer.deliver('busy/topic', payload, { qos: 1 });
  expect(writes).not.toHaveBeenCalled();
  writes.mockRestore();
  await Promise.all(
    names.map(async (clientId) => {
      const { client, connack } = await open({ clientId, cleanStart: false, properties: kept });
      expect(connack.sessionPresent).toBe(true);
      expect(await client.texts(messages.length)).toEqual(messages);
      client.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
      await client.closed;
    }),
  );
  writer.disconnect();
});

describe.each([4, 5] as const)('version %d', (version) => {
  const session = (clientId: string) => ({
    version,
    clientId,
    cleanStart: false,
    ...(version === 5 ? { properties: kept } : {}),
  });

  test('what retention took while the client was away is reported, and the rest comes', async () => {
    const topic = `short/${version}`;
    const { client } = await open(session(topic));
    await client.subscribe(topic, { qos: 1 });
    const { client: writer } = await open();
    await writer.deliver(topic, '1');
    expect(await client.texts(1)).toEqual(['1']);
    await client.settled();
    await leave(client, 'cut');
    for (let at = 2; at <= 20; at += 1) await writer.deliver(topic, String(at));
    const { client: back, connack } = await open(session(topic));
    expect(connack.sessionPresent).toBe(true);
    const first = await back.take();
    if (version === 4) {
      expect(first.topic).toBe('$everywire/gap');
      expect(JSON.parse(first.payload.toString())).toMatchObject({ filter: topic, from: 2, to: 15 });
      expect(await back.texts(5)).toEqual(['16', '17', '18', '19', '20']);
    } else {
      const told = new Map(first.properties.userProperties).get('everywire-gap');
      expect(JSON.parse(told!)).toMatchObject({ channel: topic, from: 2, to: 15, reason: 'retention' });
      expect(first.payload.toString()).toBe('16');
      expect(await back.texts(4)).toEqual(['17', '18', '19', '20']);
    }
    await writer.deliver(topic, 'live');
    expect(await back.texts(1)).toEqual(['live']);
    for (const one of [back, writer]) one.disconnect();
  });
});

test('a client id and a topic may be named like anything of ours', async () => {
  const { client } = await open({ clientId: '__proto__', properties: kept });
  await client.subscribe('a/__proto__/constructor', { qos: 1 });
  await client.deliver('a/__proto__/constructor', 'x');
  expect(await client.texts(1)).toEqual(['x']);
  client.disconnect();
});

test('there are at most so many', async () => {
  const clients: RawClient[] = [];
  for (let at = 0; ; at += 1) {
    const client = await RawClient.open(server.mqtt!);
    const { reasonCode } = await client.connect({
      clientId: `many-${at}`,
      cleanStart: false,
      properties: kept,
    });
    if (reasonCode !== 0) {
      expect(reasonCode).toBe(0x97);
      break;
    }
    clients.push(client);
    expect(at).toBeLessThan(300);
  }
  const { client: brief } = await open();
  await brief.settled();
  clients[0]!.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
  await clients[0]!.closed;
  const { connack } = await open({ clientId: 'one more', properties: kept });
  expect(connack.reasonCode).toBe(0);
  for (const client of clients.slice(1)) client.cut();
});
