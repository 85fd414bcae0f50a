import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SessionState } from '../../../src/transports/mqtt/state.ts';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** What the standard says in passing, and brokers forget: each test names its statement. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `standard/${(names += 1)}`;
const kept = { sessionExpiryIntervalSeconds: 3_600 };
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}): Promise<RawClient> =>
  (await RawClient.connected(server.mqtt!, options)).client;

describe('a client that asked for no problem information', () => {
  const properties = { requestProblemInformation: 0 } as const;

  test('[MQTT-3.1.2-29] gets no reason in SUBACK, PUBACK and PUBREC', async () => {
    const client = await open({ properties });
    client.send({
      type: 'subscribe',
      packetId: 7,
      filters: [
        {
          filter: '$other/a',
          isWellFormed: true,
          qos: 1,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
        },
      ],
      properties: {},
    });
    const suback = await client.next('suback');
    expect(suback.reasonCodes[0]).toBeGreaterThanOrEqual(0x80);
    expect(suback.properties).toEqual({});
    client.publish('a/*/b', 'x', { qos: 1 });
    const puback = await client.next('puback');
    expect(puback.reasonCode).toBeGreaterThanOrEqual(0x80);
    expect(puback.properties).toEqual({});
    client.publish('a/*/b', 'x', { qos: 2 });
    const pubrec = await client.next('pubrec');
    expect(pubrec.reasonCode).toBeGreaterThanOrEqual(0x80);
    expect(pubrec.properties).toEqual({});
    client.disconnect();
  });

  test('a client that did not, does', async () => {
    const client = await open();
    client.publish('a/*/b', 'x', { qos: 1 });
    expect((await client.next('puback')).properties.reasonString).toMatch(/^bad_name: /);
    client.disconnect();
  });
});

describe('$SYS', () => {
  test('[MQTT-3.3.1-11] with retain handling 2 nothing comes at SUBSCRIBE', async () => {
    const client = await open();
    await client.subscribe('$SYS/broker/uptime', { retainHandling: 2 });
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });

  test('[MQTT-3.3.1-10] with retain handling 1 it comes once', async () => {
    const client = await open();
    await client.subscribe('$SYS/broker/uptime', { retainHandling: 1 });
    expect(await client.next('publish')).toMatchObject({ topic: '$SYS/broker/uptime', retain: true });
    await client.subscribe('$SYS/broker/uptime', { retainHandling: 1 });
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });
});

describe.each([4, 5] as const)('UNSUBSCRIBE in version %d', (version) => {
  test('[MQTT-3.10.4-3] a started delivery is finished, also after a return', async () => {
    const clientId = fresh();
    const stays = version === 5 ? { properties: kept } : {};
    const client = await open({ version, clientId, cleanStart: false, ...stays });
    const writer = await open();
    await client.subscribe(clientId, { qos: 2 });
    await writer.deliver(clientId, 'one', { qos: 1 });
    await writer.deliver(clientId, 'two', { qos: 2 });
    const [one, two] = [await client.next('publish'), await client.next('publish')];
    await client.unsubscribe(clientId);
    await writer.deliver(clientId, 'three', { qos: 1 });
    await client.settled();
    expect(client.packets).toEqual([]);
    client.cut();
    await client.closed;
    const again = await open({ version, clientId, cleanStart: false, ...stays });
    const repeated = [await again.next('publish'), await again.next('publish')];
    expect(repeated).toMatchObject([
      { packetId: one.packetId, qos: 1, dup: true, payload: Buffer.from('one') },
      { packetId: two.packetId, qos: 2, dup: true, payload: Buffer.from('two') },
    ]);
    again.ack('puback', one.packetId);
    again.ack('pubrec', two.packetId);
    expect((await again.next('pubrel')).packetId).toBe(two.packetId);
    again.ack('pubcomp', two.packetId);
    await again.settled();
    expect(again.packets).toEqual([]);
    for (const each of [again, writer]) each.disconnect();
  });
});

describe('reason codes', () => {
  test('a refused will topic is 0x90 in CONNACK, and the connection is closed', async () => {
    const client = await RawClient.open(server.mqtt!, 5);
    const connack = await client.connect({
      will: { topic: 'a/#', payload: Buffer.from('x'), qos: 0, retain: false, properties: {} },
    });
    expect(connack.reasonCode).toBe(0x90);
    await client.closed;
  });

  test('[MQTT-3.14.0-1] before CONNACK there is no DISCONNECT', async () => {
    const client = await RawClient.open(server.mqtt!, 5);
    client.write(Buffer.from([0xc0, 0x00]));
    await client.closed;
    expect(client.packets).toEqual([]);
  });

  test('[MQTT-3.8.4-5] one bad filter among good ones costs only itself', async () => {
    const client = await open();
    const topic = fresh();
    const request = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    client.send({
      type: 'subscribe',
      packetId: 7,
      filters: [
        { filter: `${topic}#`, isWellFormed: false, ...request },
        { filter: topic, isWellFormed: true, ...request },
        { filter: '$share//x', isWellFormed: false, ...request },
      ],
      properties: {},
    });
    expect((await client.next('suback')).reasonCodes).toEqual([0x8f, 1, 0x8f]);
    client.publish(topic, 'x', { qos: 1 });
    expect(await client.texts(1)).toEqual(['x']);
    client.disconnect();
  });

  test('the same filter twice in one SUBSCRIBE is the second of them', async () => {
    const client = await open();
    const topic = fresh();
    const request = { filter: topic, isWellFormed: true, noLocal: false, retainAsPublished: false } as const;
    client.send({
      type: 'subscribe',
      packetId: 7,
      filters: [
        { ...request, qos: 0, retainHandling: 0 },
        { ...request, qos: 1, retainHandling: 0 },
      ],
      properties: {},
    });
    expect((await client.next('suback')).reasonCodes).toEqual([0, 1]);
    client.publish(topic, 'x', { qos: 1 });
    expect(await client.take()).toMatchObject({ qos: 1 });
    await client.next('puback');
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });
});

describe('acknowledgements that refuse', () => {
  test('[MQTT-4.4.0-2] end the flow: the message does not come again', async () => {
    const clientId = fresh();
    const client = await open({ clientId, cleanStart: false, properties: kept });
    const writer = await open();
    await client.subscribe(clientId, { qos: 2 });
    await writer.deliver(clientId, 'one', { qos: 1 });
    await writer.deliver(clientId, 'two', { qos: 2 });
    client.ack('puback', (await client.next('publish')).packetId, 0x83);
    client.ack('pubrec', (await client.next('publish')).packetId, 0x97);
    await client.settled();
    expect(client.packets).toEqual([]);
    client.cut();
    await client.closed;
    const again = await open({ clientId, cleanStart: false, properties: kept });
    await again.settled();
    expect(again.packets).toEqual([]);
    for (const each of [again, writer]) each.disconnect();
  });

  test('[MQTT-4.8.2-6] of a shared subscription: no other member gets it', async () => {
    const topic = fresh();
    const members = [await open(), await open()];
    for (const member of members) await member.subscribe(`$share/g/${topic}`, { qos: 1 });
    const writer = await open();
    await writer.deliver(topic, 'x', { qos: 1 });
    const taken = await Promise.race(
      members.map(async (member) => {
        await member.until(() => member.packets.some(({ type }) => type === 'publish'), 'a publish');
        return member;
      }),
    );
    taken.ack('puback', (await taken.next('publish')).packetId, 0x80);
    await taken.settled();
    taken.cut();
    await taken.closed;
    const [other] = members.filter((member) => member !== taken);
    await writer.deliver(topic, 'y', { qos: 1 });
    expect(await other!.texts(1)).toEqual(['y']);
    for (const each of [other!, writer]) each.disconnect();
  });
});

test('[MQTT-2.2.1-4] packet ids go round, and those in use are passed over', () => {
  const state = new SessionState();
  const target = { kind: 'log', filter: 'a', isShared: false, from: undefined } as const;
  const options = {
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    identifier: undefined,
    withCursor: false,
  } as const;
  const subscription = state.add('a', target, options);
  const [first, second] = [1, 2].map((seq) => state.send(subscription, { qos: 1, seq }));
  for (let seq = 3; seq <= 0xffff; seq += 1) state.complete(state.send(subscription, { qos: 1, seq }));
  expect(state.lastPacketId).toBe(0xffff);
  state.complete(first!);
  expect(state.send(subscription, { qos: 1, seq: 70_000 }).packetId).toBe(1);
  expect(state.send(subscription, { qos: 1, seq: 70_001 }).packetId).toBe(3);
  expect(second!.packetId).toBe(2);
});

test('[MQTT-3.3.4-5] each copy for overlapping subscriptions carries its own identifier', async () => {
  const client = await open();
  const topic = fresh();
  await client.subscribe(topic, { qos: 1 }, { subscriptionIdentifiers: [3] });
  await client.subscribe(`${topic}/#`, { qos: 0 }, { subscriptionIdentifiers: [4] });
  client.publish(topic, 'x', { qos: 1 });
  const both = [await client.take(), await client.take()];
  const told = both.map(({ qos, properties }) => [properties.subscriptionIdentifiers, qos]);
  expect(told.sort((a, b) => Number(b[1]) - Number(a[1]))).toEqual([
    [[3], 1],
    [[4], 0],
  ]);
  client.disconnect();
});

test('[MQTT-3.3.1-8] a message without RETAIN leaves the retained one alone', async () => {
  const topic = fresh();
  const writer = await open();
  await writer.deliver(topic, 'kept', { retain: true });
  await writer.deliver(topic, 'passing');
  await writer.deliver(topic, '');
  const client = await open();
  await client.subscribe(topic);
  expect(await client.next('publish')).toMatchObject({ payload: Buffer.from('kept'), retain: true });
  for (const each of [client, writer]) each.disconnect();
});

test('[MQTT-3.3.2-7] a topic alias ends with its connection', async () => {
  const clientId = fresh();
  const client = await open({ clientId, cleanStart: false, properties: kept });
  expect(await client.deliver(clientId, 'x', { properties: { topicAlias: 1 } })).toBeLessThan(0x80);
  client.cut();
  await client.closed;
  const again = await open({ clientId, cleanStart: false, properties: kept });
  again.publish('', 'y', { qos: 1, properties: { topicAlias: 1 } });
  expect((await again.next('disconnect')).reasonCode).toBe(0x82);
  await again.closed;
});

describe.each([4, 5] as const)('acknowledgements of version %d', (version) => {
  test('[MQTT-4.6.0-2] [MQTT-4.6.0-3] come in the order of the PUBLISHes', async () => {
    const client = await open({ version });
    const topic = fresh();
    const sent: string[] = [];
    for (let packetId = 1; packetId <= 40; packetId += 1) {
      const qos = packetId % 3 === 0 ? 2 : 1;
      client.publish(topic, `${packetId}`, { qos, packetId });
      sent.push(`${qos === 2 ? 'pubrec' : 'puback'} ${packetId}`);
    }
    await client.until(() => client.packets.length === 40, 'all acknowledgements');
    const came = client.packets.map((packet) =>
      'packetId' in packet ? `${packet.type} ${packet.packetId}` : '',
    );
    const only = (list: readonly string[], type: string) => list.filter((one) => one.startsWith(type));
    expect(only(came, 'puback')).toEqual(only(sent, 'puback'));
    expect(only(came, 'pubrec')).toEqual(only(sent, 'pubrec'));
    client.disconnect();
  });

  test('[MQTT-4.3.2-5] [MQTT-4.3.3-12] free the packet id: the same id is a new message', async () => {
    const client = await open({ version });
    const topic = fresh();
    await client.subscribe(topic);
    for (const qos of [1, 1, 2, 2] as const) await client.deliver(topic, 'same', { qos, packetId: 77 });
    expect(await client.texts(4)).toEqual(['same', 'same', 'same', 'same']);
    client.disconnect();
  });

  test('[MQTT-4.9.0-3] are taken, and all else answered, while nothing more may be sent', async () => {
    const properties = version === 5 ? { properties: { receiveMaximum: 1 } } : {};
    const client = await open({ version, ...properties });
    const topic = fresh();
    const other = fresh();
    await client.subscribe(topic, { qos: 1 });
    await client.deliver(topic, 'one');
    await client.deliver(topic, 'two');
    const held = await client.next('publish');
    expect(await client.subscribe(other)).toBe(0);
    client.publish(other, 'free');
    await client.until(
      () => client.packets.some((packet) => packet.type === 'publish' && packet.topic === other),
      'what needs no acknowledgement',
    );
    client.ack('puback', held.packetId);
    await client.until(
      () => client.packets.some((packet) => packet.type === 'publish' && packet.payload.toString() === 'two'),
      'the next',
    );
    client.disconnect();
  });

  test('[MQTT-4.7.3-4] names are not normalised', async () => {
    const client = await open({ version });
    const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'];
    await client.subscribe(`${composed}/+`);
    await client.deliver(`${decomposed}/a`, 'other');
    await client.deliver(`${composed}/a`, 'same');
    expect(await client.next('publish')).toMatchObject({
      topic: `${composed}/a`,
      payload: Buffer.from('same'),
    });
    await client.settled();
    expect(client.packets).toEqual([]);
    client.disconnect();
  });
});
