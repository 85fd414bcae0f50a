import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    namespaces: { 'subscription/short/**': { retention: { count: 5 } } },
  });
});
afterAll(() => server.stop());

let names = 0;
const fresh = (): string => `subscription/${(names += 1)}`;
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}): Promise<RawClient> =>
  (await RawClient.connected(server.mqtt!, options)).client;

test.each([
  ['a/+/c', ['a/b/c', 'a//c'], ['a/b', 'a/b/c/d']],
  ['a/#', ['a', 'a/b', 'a/b/c'], ['b']],
  ['+', ['x'], ['/x', 'x/y']],
  ['/+', ['/x'], ['x']],
  ['+/+', ['/x', 'x/y', 'x/'], ['x']],
] as const)('the filter %s', async (filter, matching, others) => {
  const client = await open();
  const writer = await open();
  await client.subscribe(filter);
  for (const topic of [...others, ...matching]) await writer.deliver(topic, topic);
  const seen = [];
  while (seen.length < matching.length) seen.push((await client.take()).topic);
  expect(seen).toEqual(matching);
  await client.settled();
  expect(client.packets).toEqual([]);
  for (const one of [client, writer]) one.disconnect();
});

test('a filter that begins with a wildcard does not match $SYS [MQTT-4.7.2-1]', async () => {
  const client = await open();
  await client.subscribe('#', { retainHandling: 2 });
  await client.subscribe('+/broker/uptime', { retainHandling: 2 });
  await client.settled();
  expect(client.packets).toEqual([]);
  await client.subscribe('$SYS/broker/+');
  const topics = new Set<string>();
  while (!topics.has('$SYS/broker/version') || !topics.has('$SYS/broker/uptime')) {
    const { topic, retain } = await client.take();
    expect(topic).toMatch(/^\$SYS\/broker\/[a-z]+$/);
    expect(retain).toBe(true);
    topics.add(topic);
  }
  client.disconnect();
});

test.each([
  ['bad name', 'a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r'],
  ['wildcards', '+/+/+/+/+/a'],
  ['a server name', '$other/a'],
  ['an invalid start', '$since/yesterday/a'],
  ['an invalid cursor', '$since/1abc/a'],
  ['a group without filter', '$share/g/'],
  ['figures in a group', '$share/g/$SYS/#'],
])('%s is refused in SUBACK, and the connection stays', async (_what, filter) => {
  for (const version of [4, 5] as const) {
    const client = await open({ version });
    expect(await client.subscribe(filter)).toBe(version === 5 ? 0x8f : 0x80);
    await client.settled();
    client.disconnect();
  }
});

test('No Local leaves out what the connection itself published', async () => {
  const topic = fresh();
  const client = await open();
  const other = await open();
  await client.subscribe(topic, { noLocal: true });
  await client.deliver(topic, 'own');
  await other.deliver(topic, 'other');
  expect(await client.texts(1)).toEqual(['other']);
  client.publish(topic, 'x');
  client.disconnect();
  other.disconnect();
});

test('No Local on a shared subscription is a protocol error', async () => {
  const client = await open();
  void client.subscribe('$share/g/a', { noLocal: true }).catch(() => undefined);
  expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 });
  await client.closed;
});

test('subscription identifiers come back with what they brought', async () => {
  const topic = fresh();
  const client = await open();
  await client.subscribe(topic, {}, { subscriptionIdentifiers: [7] });
  await client.subscribe(`${topic}/#`, {}, { subscriptionIdentifiers: [268_435_455] });
  await client.deliver(topic, 'x');
  const identifiers = [await client.take(), await client.take()].map(
    ({ properties }) => properties.subscriptionIdentifiers,
  );
  expect(identifiers.sort()).toEqual([[268_435_455], [7]]);
  client.disconnect();
});

test.each([
  [0, 1],
  [1, 0],
  [1, 2],
  [2, 0],
] as const)('subscribing again, QoS %d then %d, loses and repeats nothing', async (before, after) => {
  const topic = fresh();
  const client = await open();
  const writer = await open();
  await client.subscribe(topic, { qos: before });
  const count = 60;
  const written = (async () => {
    for (let at = 0; at < count; at += 1) await writer.deliver(topic, String(at), { qos: 1 });
  })();
  const seen: string[] = [];
  while (seen.length < 20) seen.push(...(await client.texts(1)));
  expect(await client.subscribe(topic, { qos: after, retainHandling: 2 })).toBe(after);
  while (seen.length < count) seen.push(...(await client.texts(1)));
  await written;
  expect(seen).toEqual(Array.from({ length: count }, (_, at) => String(at)));
  await client.settled();
  expect(client.packets).toEqual([]);
  for (const one of [client, writer]) one.disconnect();
});

test('UNSUBSCRIBE ends it, and says when there was none', async () => {
  const topic = fresh();
  const client = await open();
  await client.subscribe(topic);
  expect(await client.unsubscribe(topic)).toBe(0);
  expect(await client.unsubscribe(topic)).toBe(0x11);
  await client.deliver(topic, 'x');
  await client.settled();
  expect(client.packets).toEqual([]);
  client.disconnect();
});

describe('replay', () => {
  test.each([4, 5] as const)('from the beginning, by number, by cursor, in version %d', async (version) => {
    const topic = fresh();
    const client = await open({ version });
    for (const payload of ['1', '2', '3', '4']) await client.deliver(topic, payload);
    const page = (await (await fetch(`${server.url}/channels/${topic}?since=earliest`)).json()) as {
      messages: { cursor: string }[];
    };
    expect(await client.subscribe(`$since/earliest/${topic}`, { qos: 1 })).toBe(1);
    expect(await client.texts(4)).toEqual(['1', '2', '3', '4']);
    expect(await client.subscribe(`$since/last-2/${topic}`, { qos: 2 })).toBe(2);
    const again = await client.take();
    expect(again).toMatchObject({ topic, qos: 1, payload: Buffer.from('3'), retain: false });
    expect(await client.texts(1)).toEqual(['4']);
    expect(await client.subscribe(`$since/${page.messages[1]!.cursor}/${topic}`)).toBe(0);
    expect(await client.texts(2)).toEqual(['3', '4']);
    expect(await client.subscribe(`$since/-5m/${topic}`)).toBe(0);
    expect(await client.texts(4)).toEqual(['1', '2', '3', '4']);
    client.disconnect();
  });

  test('by user properties, with cursors that other transports take', async () => {
    const topic = fresh();
    const client = await open();
    for (const payload of ['1', '2', '3']) await client.deliver(topic, payload);
    const asked = [
      ['since', 'earliest'],
      ['cursor', 'on'],
    ] as const;
    await client.subscribe(topic, { qos: 1 }, { userProperties: asked });
    await client.take();
    const { properties } = await client.take();
    const said = new Map(properties.userProperties);
    expect(said.get('offset')).toBe('2');
    const after = said.get('cursor')!;
    const page = (await (await fetch(`${server.url}/channels/${topic}?after=${after}`)).json()) as {
      messages: { data: string; cursor: string }[];
    };
    expect(page.messages.map(({ data }) => data)).toEqual(['3']);
    const other = await open();
    await other.subscribe(topic, { qos: 1 }, { userProperties: [['after', after]] });
    expect(await other.texts(1)).toEqual(['3']);
    for (const one of [client, other]) one.disconnect();
  });

  test('what retention took away is reported: in MQTT 5 with the next message, before that on a topic', async () => {
    const topic = fresh().replace('subscription/', 'subscription/short/');
    const writer = await open();
    await writer.deliver(topic, '1');
    const page = (await (await fetch(`${server.url}/channels/${topic}`)).json()) as { cursor: string };
    for (let at = 2; at <= 20; at += 1) await writer.deliver(topic, String(at));
    const five = await open();
    await five.subscribe(topic, { qos: 1 }, { userProperties: [['after', page.cursor]] });
    const first = await five.take();
    const gap = JSON.parse(new Map(first.properties.userProperties).get('everywire-gap')!) as object;
    expect(gap).toMatchObject({ channel: topic, from: 2, to: 15, reason: 'retention' });
    expect(first.payload.toString()).toBe('16');
    const second = await five.take();
    expect(second.properties.userProperties).toBeUndefined();
    const four = await open({ version: 4 });
    await four.subscribe(`$since/${page.cursor}/${topic}`, { qos: 1 });
    const told = await four.take();
    expect(told.topic).toBe('$everywire/gap');
    expect(JSON.parse(told.payload.toString())).toMatchObject({ channel: topic, from: 2, to: 15 });
    expect(await four.texts(1)).toEqual(['16']);
    for (const one of [writer, five, four]) one.disconnect();
  });
});

describe('shared subscriptions', () => {
  test.each([0, 1, 2] as const)('each message goes to one member, at QoS %d', async (qos) => {
    const topic = fresh();
    const members = [await open(), await open(), await open()];
    for (const member of members) expect(await member.subscribe(`$share/g/${topic}`, { qos })).toBe(qos);
    const writer = await open();
    for (let at = 0; at < 30; at += 1) await writer.deliver(topic, String(at), { qos: qos === 2 ? 2 : 1 });
    const seen: string[] = [];
    for (const member of members) {
      await member.settled();
      const publishes = member.packets.filter(({ type }) => type === 'publish').length;
      expect(publishes).toBeGreaterThan(0);
      seen.push(...(await member.texts(publishes)));
    }
    expect(seen.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, at) => at));
    for (const one of [...members, writer]) one.disconnect();
  });

  test('what a member that is gone did not acknowledge goes to another', async () => {
    const topic = fresh();
    const leaves = await open();
    await leaves.subscribe(`$share/g/${topic}`, { qos: 1 });
    const writer = await open();
    await writer.deliver(topic, '1');
    await leaves.next('publish');
    const stays = await open();
    await stays.subscribe(`$share/g/${topic}`, { qos: 1 });
    leaves.cut();
    expect(await stays.take()).toMatchObject({ payload: Buffer.from('1'), dup: true });
    for (const one of [stays, writer]) one.disconnect();
  });

  test('a QoS 2 delivery that was started is finished with the same client, or not at all [MQTT-4.8.2-4, -5]', async () => {
    const topic = fresh();
    const session = { clientId: topic, cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } };
    const leaves = await open(session);
    await leaves.subscribe(`$share/g/${topic}`, { qos: 2 });
    const writer = await open();
    await writer.deliver(topic, 'in flight', { qos: 2 });
    const { packetId } = await leaves.next('publish');
    const stays = await open();
    await stays.subscribe(`$share/g/${topic}`, { qos: 2 });
    leaves.cut();
    await leaves.closed;
    await writer.deliver(topic, 'later', { qos: 2 });
    expect(await stays.texts(1)).toEqual(['later']);
    const back = await open(session);
    expect(await back.next('publish')).toMatchObject({
      packetId,
      dup: true,
      retain: false,
      payload: Buffer.from('in flight'),
    });
    back.cut();
    await back.closed;
    const clean = await open({ ...session, cleanStart: true });
    await stays.settled();
    expect(stays.packets).toEqual([]);
    for (const one of [clean, stays, writer]) one.disconnect();
  });

  test('a group of sessions that are away waits for one to come back', async () => {
    const topic = fresh();
    const session = { clientId: topic, cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } };
    const member = await open(session);
    await member.subscribe(`$share/g/${topic}`, { qos: 1 });
    member.disconnect();
    await member.closed;
    const writer = await open();
    for (const payload of ['1', '2', '3']) await writer.deliver(topic, payload);
    const back = await open(session);
    expect(await back.texts(3)).toEqual(['1', '2', '3']);
    back.disconnect(0, { sessionExpiryIntervalSeconds: 0 });
    await back.closed;
    await writer.deliver(topic, 'without a reader');
    const anew = await open(session);
    await anew.subscribe(`$share/g/${topic}`, { qos: 1 });
    await writer.deliver(topic, '4');
    expect(await anew.texts(1)).toEqual(['4']);
    for (const one of [anew, writer]) one.disconnect();
  });
});
