import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `session/${(names += 1)}`;
const kept = { sessionExpiryIntervalSeconds: 3_600 };
const open = (options: Parameters<typeof RawClient.connected>[1] = {}) =>
  RawClient.connected(server.mqtt!, options);

describe.each([4, 5] as const)('sessions of version %d', (version) => {
  const stays = version === 5 ? { properties: kept } : {};

  test('what was in flight comes again under its packet id, marked, in order [MQTT-4.4.0-1]', async () => {
    const clientId = fresh();
    const { client } = await open({ version, clientId, cleanStart: false, ...stays });
    await client.subscribe(clientId, { qos: 2 });
    const { client: writer } = await open();
    for (const payload of ['1', '2', '3', '4', '5']) {
      await writer.deliver(clientId, payload, { qos: payload === '2' ? 2 : 1 });
    }
    const sent = [];
    while (sent.length < 5) sent.push(await client.next('publish'));
    expect(sent.map(({ qos, dup }) => ({ qos, dup }))).toEqual(
      [1, 2, 1, 1, 1].map((qos) => ({ qos, dup: false })),
    );
    // The second goes half way; the third is done, out of order.
    client.ack('pubrec', sent[1]!.packetId);
    await client.next('pubrel');
    client.ack('puback', sent[2]!.packetId);
    await client.settled();
    client.cut();
    await client.closed;
    await writer.deliver(clientId, '6');
    const { client: again, connack } = await open({ version, clientId, cleanStart: false, ...stays });
    expect(connack.sessionPresent).toBe(true);
    expect((await again.next('pubrel')).packetId).toBe(sent[1]!.packetId);
    again.ack('pubcomp', sent[1]!.packetId);
    const repeated = [];
    while (repeated.length < 4) repeated.push(await again.next('publish'));
    expect(
      repeated.map(({ packetId, dup, payload }) => ({ packetId, dup, payload: payload.toString() })),
    ).toEqual([
      { packetId: sent[0]!.packetId, dup: true, payload: '1' },
      { packetId: sent[3]!.packetId, dup: true, payload: '4' },
      { packetId: sent[4]!.packetId, dup: true, payload: '5' },
      { packetId: expect.any(Number) as number, dup: false, payload: '6' },
    ]);
    for (const { packetId } of repeated) again.ack('puback', packetId);
    await again.settled();
    again.disconnect();
    await again.closed;
    const { client: third } = await open({ version, clientId, cleanStart: false, ...stays });
    await writer.deliver(clientId, '7');
    expect(await third.texts(1)).toEqual(['7']);
    for (const one of [third, writer]) one.disconnect();
  });

  test('a QoS 2 PUBLISH that is repeated after the connection was lost is stored once [MQTT-4.3.3-10]', async () => {
    const clientId = fresh();
    const first = await open({ version, clientId, cleanStart: false, ...stays });
    first.client.publish(clientId, 'once', { qos: 2, packetId: 7 });
    await first.client.next('pubrec');
    first.client.cut();
    await first.client.closed;
    const second = await open({ version, clientId, cleanStart: false, ...stays });
    expect(second.connack.sessionPresent).toBe(true);
    second.client.publish(clientId, 'once', { qos: 2, packetId: 7, dup: true });
    expect(await second.client.next('pubrec')).toMatchObject({ packetId: 7, reasonCode: 0 });
    second.client.ack('pubrel', 7);
    expect(await second.client.next('pubcomp')).toMatchObject({ packetId: 7, reasonCode: 0 });
    second.client.publish(clientId, 'another', { qos: 2, packetId: 7 });
    await second.client.next('pubrec');
    const page = await (await fetch(`${server.url}/channels/${clientId}?since=earliest`)).json();
    expect((page as { messages: { data: string }[] }).messages.map(({ data }) => data)).toEqual([
      'once',
      'another',
    ]);
    second.client.disconnect();
  });

  test('the session is taken over by the newer connection', async () => {
    const clientId = fresh();
    const { client: old } = await open({ version, clientId, cleanStart: false, ...stays });
    await old.subscribe(clientId, { qos: 1 });
    const { client, connack } = await open({ version, clientId, cleanStart: false, ...stays });
    expect(connack.sessionPresent).toBe(true);
    if (version === 5) expect(await old.next('disconnect')).toMatchObject({ reasonCode: 0x8e });
    await old.closed;
    await client.deliver(clientId, 'x');
    expect(await client.texts(1)).toEqual(['x']);
    client.disconnect();
  });

  test('many connections with one client id at once leave one', async () => {
    const clientId = fresh();
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => RawClient.open(server.mqtt!, version)),
    );
    const connects = clients.map((client) => client.connect({ clientId, cleanStart: false, ...stays }));
    // Some are closed before they are answered.
    await Promise.allSettled(connects);
    const last = await open({ version, clientId, cleanStart: false, ...stays });
    await Promise.all(clients.map((client) => client.closed));
    await last.client.settled();
    last.client.disconnect();
  });

  test('a clean start forgets everything', async () => {
    const clientId = fresh();
    const { client } = await open({ version, clientId, cleanStart: false, ...stays });
    await client.subscribe(clientId, { qos: 1 });
    client.disconnect();
    await client.closed;
    const { client: clean, connack } = await open({ version, clientId, cleanStart: true });
    expect(connack.sessionPresent).toBe(false);
    await clean.deliver(clientId, 'x');
    await clean.settled();
    expect(clean.packets).toEqual([]);
    clean.disconnect();
    await clean.closed;
    const { connack: after, client: last } = await open({ version, clientId, cleanStart: false, ...stays });
    expect(after.sessionPresent).toBe(false);
    last.disconnect();
  });
});

describe('expiry', () => {
  test('a session of MQTT 5 without expiry ends with its connection', async () => {
    const clientId = fresh();
    const { client } = await open({ clientId, cleanStart: false });
    client.disconnect();
    await client.closed;
    const { client: again, connack } = await open({ clientId, cleanStart: false });
    expect(connack.sessionPresent).toBe(false);
    again.disconnect();
  });

  test('a session ends when its time is over, and DISCONNECT may change it', async () => {
    const clientId = fresh();
    const { client } = await open({ clientId, properties: kept });
    client.disconnect(0, { sessionExpiryIntervalSeconds: 1 });
    await client.closed;
    const still = await open({ clientId, cleanStart: false, properties: kept });
    expect(still.connack.sessionPresent).toBe(true);
    still.client.disconnect(0, { sessionExpiryIntervalSeconds: 1 });
    await still.client.closed;
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    const late = await open({ clientId, cleanStart: false, properties: kept });
    expect(late.connack.sessionPresent).toBe(false);
    late.client.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
    await late.client.closed;
    const gone = await open({ clientId, cleanStart: false });
    expect(gone.connack.sessionPresent).toBe(false);
    gone.client.disconnect();
  });

  test('one that was to end cannot be kept by DISCONNECT', async () => {
    const { client } = await open();
    client.disconnect(0, { sessionExpiryIntervalSeconds: 10 });
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 });
    await client.closed;
  });
});

describe('what the server says of itself', () => {
  test('MQTT 5: a client id, the receive maximum, the packet size, topic aliases', async () => {
    const { client, connack } = await open();
    expect(connack.properties).toMatchObject({
      assignedClientIdentifier: expect.stringMatching(/^everywire-[0-9a-f]{24}$/) as string,
      receiveMaximum: 64,
      maximumPacketSizeBytes: 1_070_588,
      topicAliasMaximum: 16,
    });
    client.disconnect();
  });

  test('topic aliases replace topics', async () => {
    const topic = fresh();
    const { client } = await open();
    await client.subscribe(topic, { qos: 0 });
    client.publish(topic, '1', { properties: { topicAlias: 3 } });
    client.publish('', '2', { properties: { topicAlias: 3 } });
    expect(await client.texts(2)).toEqual(['1', '2']);
    client.disconnect();
  });

  test('a client is sent no more than its receive maximum', async () => {
    const topic = fresh();
    const { client } = await open({ properties: { receiveMaximum: 2 } });
    await client.subscribe(topic, { qos: 1 });
    const { client: writer } = await open();
    for (let at = 0; at < 5; at += 1) await writer.deliver(topic, String(at));
    await client.settled();
    expect(client.packets).toHaveLength(2);
    expect(await client.texts(5)).toEqual(['0', '1', '2', '3', '4']);
    for (const one of [client, writer]) one.disconnect();
  });

  test('a message that is larger than the client takes is left out, and the rest continues', async () => {
    const topic = fresh();
    const { client } = await open({ properties: { maximumPacketSizeBytes: 60 } });
    await client.subscribe(topic, { qos: 1 });
    const { client: writer } = await open();
    await writer.deliver(topic, 'small');
    await writer.deliver(topic, 'x'.repeat(100));
    await writer.deliver(topic, 'small again');
    expect(await client.texts(2)).toEqual(['small', 'small again']);
    for (const one of [client, writer]) one.disconnect();
  });
});

test('a keep alive that is longer than allowed: MQTT 5 gets another, 3.1.1 is refused', async () => {
  const strict = await startTestServer({ limits: { mqttKeepAliveSecondsMax: 60 } });
  const asked = [0, 61, 60];
  const told = [];
  for (const keepAliveSeconds of asked) {
    const { client, connack } = await RawClient.connected(strict.mqtt!, { keepAliveSeconds });
    told.push(connack.properties.serverKeepAliveSeconds);
    client.disconnect();
  }
  expect(told).toEqual([60, 60, undefined]);
  const { connack } = await RawClient.connected(strict.mqtt!, { version: 4, keepAliveSeconds: 61 });
  expect(connack.reasonCode).toBe(0x85);
  await strict.stop();
});
