import { afterAll, beforeAll, expect, it } from 'vitest';
import { RawClient } from '../../clients/mqtt/raw-client.ts';
import { MortalServer } from '../server/mortal-server.ts';

const server = new MortalServer();
beforeAll(() => server.start());
afterAll(() => server.dispose());

const kept = { sessionExpiryIntervalSeconds: 3_600 };
const open = async (options: Parameters<typeof RawClient.connected>[1] = {}) =>
  RawClient.connected(server.addresses.mqtt!, options);
const will = (topic: string, delaySeconds: number) => ({
  topic,
  payload: Buffer.from('gone'),
  qos: 1 as const,
  retain: true,
  properties: { willDelayIntervalSeconds: delaySeconds },
});

async function killAndStart(): Promise<void> {
  await server.kill();
  await server.start();
}

async function textsOf(channel: string): Promise<string[]> {
  const page = await (await fetch(`${server.http}/channels/${channel}?since=earliest`)).json();
  return (page as { messages: { data: string }[] }).messages.map(({ data }) => data);
}

it('wills of connections that the crash broke are published once, when they are due', async () => {
  await open({ clientId: 'brief', will: will('wills/brief', 60) });
  await open({ clientId: 'kept', will: will('wills/kept', 0), properties: kept });
  await open({ clientId: 'delayed', will: will('wills/delayed', 2), properties: kept });
  await open({ clientId: 'returns', will: will('wills/returns', 3), properties: kept });
  const polite = await open({ clientId: 'polite', will: will('wills/polite', 0), properties: kept });
  polite.client.disconnect();
  await polite.client.closed;
  await killAndStart();
  const { client: back, connack } = await open({ clientId: 'returns', cleanStart: false, properties: kept });
  expect(connack.sessionPresent).toBe(true);
  const { client: reader } = await open();
  await reader.subscribe('$since/earliest/wills/#', { qos: 1 });
  const topics = [(await reader.take()).topic, (await reader.take()).topic].sort();
  expect(topics).toEqual(['wills/brief', 'wills/kept']);
  // The later one shows that the time of the delay is over, and none was repeated.
  expect((await reader.take()).topic).toBe('wills/delayed');
  await killAndStart();
  await open({ clientId: 'returns', cleanStart: false, properties: kept });
  const { client: after } = await open();
  await after.subscribe('wills/+', { qos: 1 });
  const retained = [];
  while (retained.length < 3) retained.push(await after.take());
  expect(retained.map(({ topic, retain }) => `${topic} ${retain}`).sort()).toEqual([
    'wills/brief true',
    'wills/delayed true',
    'wills/kept true',
  ]);
  for (const name of ['brief', 'kept', 'delayed']) expect(await textsOf(`wills/${name}`)).toEqual(['gone']);
  for (const name of ['returns', 'polite']) expect(await textsOf(`wills/${name}`)).toEqual([]);
  for (const one of [back, reader, after]) one.cut();
});

it('sessions, their subscriptions and retained messages survive a crash', async () => {
  const session = { clientId: 'away', cleanStart: false, properties: kept } as const;
  const first = await open(session);
  await first.client.subscribe('crash/#', { qos: 1 });
  await first.client.subscribe('$share/group/shared/x', { qos: 1 });
  await first.client.subscribe('ended', { qos: 1 });
  await first.client.unsubscribe('ended');
  const { client: writer } = await open();
  await writer.deliver('crash/kept', 'retained', { retain: true });
  await writer.deliver('crash/removed', 'retained', { retain: true });
  await writer.deliver('crash/removed', '', { retain: true });
  expect(await first.client.texts(3)).toEqual(['retained', 'retained', '']);
  await first.client.settled();
  await killAndStart();
  const { client: publisher } = await open();
  await publisher.deliver('crash/later', 'while away');
  await publisher.deliver('shared/x', 'for the group');
  await publisher.deliver('ended', 'unread');
  await killAndStart();
  const { client: back, connack } = await open(session);
  expect(connack.sessionPresent).toBe(true);
  const got = new Map<string, boolean>();
  while (!got.has('while away') || !got.has('for the group')) {
    const { payload, dup } = await back.take();
    got.set(payload.toString(), dup);
  }
  expect(got.get('unread')).toBeUndefined();
  const { client: reader } = await open();
  await reader.subscribe('crash/#', { qos: 1 });
  expect(await reader.take()).toMatchObject({ topic: 'crash/kept', retain: true });
  await reader.settled();
  expect(reader.packets).toEqual([]);
  for (const one of [back, reader]) one.cut();
});
