import type { Envelope } from '@everywire/protocol';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { fromEnvelope, pathOf, queryOf } from '../drivers/envelopes.ts';
import { Refused, type From, type Reader, type Received, type TransportDriver } from '../drivers/driver.ts';
import { grpcDriver } from '../drivers/grpc.ts';
import { longPollDriver, pollDriver, publishByPost, sseDriver, streamDriver } from '../drivers/http.ts';
import { drivers } from '../drivers/index.ts';
import { mqttDrivers } from '../drivers/mqtt.ts';
import { socketIoPollingDriver, socketIoWebSocketDriver } from '../drivers/socketio.ts';
import { stompTcpDriver } from '../drivers/stomp.ts';
import { webhookDriver } from '../drivers/webhook.ts';
import { everywireDriver, rawWebSocketDriver } from '../drivers/websocket.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const messages = 40;

let server: TestServer;
let groups = 0;
const readers: Reader[] = [];
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});

/**
 * Long polling as a member of a group: it joins with each request and leaves with each answer, so it cannot say before the
 * first one that it is there.
 */
const longPollMember: TransportDriver = {
  ...longPollDriver,
  read(given, filter) {
    let place: From = { since: 'earliest' };
    const arrived: Received[] = [];
    const end = new AbortController();
    const reader: Reader = {
      continuity: 'exact',
      gap: undefined,
      cursor: '',
      async next() {
        for (;;) {
          const message = arrived.shift();
          if (message !== undefined) return message;
          const url = `${given.url}${pathOf(filter)}?${queryOf(place, { wait: '20s', limit: '3' })}`;
          const response = await fetch(url, { signal: end.signal });
          const page = (await response.json()) as {
            readonly messages: readonly Envelope[];
            readonly cursor: string;
          };
          place = { after: page.cursor };
          arrived.push(...page.messages.map(fromEnvelope));
        }
      },
      close: () => end.abort(),
      cut: () => end.abort(),
      goodbye: new Promise<string>(() => undefined),
    };
    return Promise.resolve(reader);
  },
};

/** One after the other, so that all are there for the first message. */
async function join(members: readonly TransportDriver[]): Promise<string> {
  const channel = `groups/${(groups += 1)}`;
  for (const driver of members) readers.push(await driver.read(server, `$share/workers/${channel}`));
  return channel;
}

/** What each reader was given of so many messages and of one more, which is published when all of those have come. */
async function share(channel: string): Promise<readonly (readonly number[])[]> {
  const received = readers.map((): number[] => []);
  let count = 0;
  const all = Promise.withResolvers<undefined>();
  const last = Promise.withResolvers<undefined>();
  const take = async (reader: Reader, into: number[]): Promise<void> => {
    for (;;) {
      const { payload, channel: from } = await reader.next();
      if (from !== channel) throw new Error(`a message of ${from}`);
      into.push(Number(payload.toString()));
      count += 1;
      if (count === messages) all.resolve(undefined);
      if (into.at(-1) === messages) last.resolve(undefined);
    }
  };
  for (const [at, reader] of readers.entries()) {
    take(reader, received[at]!).catch((cause: unknown) => {
      all.reject(cause);
      last.reject(cause);
    });
  }
  const publish = (text: string) =>
    publishByPost(server, channel, { type: 'text/plain', payload: Buffer.from(text) });
  for (let at = 0; at < messages; at += 1) await publish(`${at}`);
  await all.promise;
  await publish(`${messages}`);
  await last.promise;
  return received.map((texts) => [...texts]);
}

const inOrder = (received: readonly (readonly number[])[]): readonly number[] =>
  received.flat().sort((left, right) => left - right);
const everyOne = Array.from({ length: messages + 1 }, (_, at) => at);

/** Their readers resume at a position of the reader, but a group has one position for all members. */
const outsiders = [pollDriver, webhookDriver];
const members = drivers
  .filter((driver) => !outsiders.includes(driver))
  .map((driver) => (driver === longPollDriver ? longPollMember : driver));

it.each(members)('two readers by $name share, and each message goes to one', async (driver) => {
  const received = await share(await join([driver, driver]));
  expect(inOrder(received)).toEqual(everyOne);
  expect(Math.min(...received.map(({ length }) => length))).toBeGreaterThan(0);
});

it.each(outsiders)('a reader by $name cannot be a member, and gets an error', async (driver) => {
  const refused = await driver.read(server, '$share/workers/groups/refused').catch((cause: unknown) => cause);
  expect(refused).toBeInstanceOf(Refused);
  expect((refused as Refused).code).toBe('bad_name');
});

it('one member of each kind share, and each message goes to one', async () => {
  const kinds = [
    sseDriver,
    streamDriver,
    rawWebSocketDriver,
    everywireDriver,
    socketIoWebSocketDriver,
    socketIoPollingDriver,
    stompTcpDriver,
    mqttDrivers.find(({ name }) => name === 'mqtt 5 TCP QoS 1')!,
    grpcDriver,
    longPollMember,
  ];
  const received = await share(await join(kinds));
  expect(inOrder(received)).toEqual(everyOne);
  const idle = kinds.filter((_, at) => received[at]!.length === 0).map(({ name }) => name);
  expect(idle).toEqual([]);
});

it('keeps the place of a group whose members poll and are all away', async () => {
  const channel = await join([longPollMember, longPollMember]);
  const [one, two] = readers as [Reader, Reader];
  const publish = (text: string) =>
    publishByPost(server, channel, { type: 'text/plain', payload: Buffer.from(text) });
  const textOf = async (next: Promise<Received>): Promise<string> => (await next).payload.toString();
  const [first, second] = [one.next(), two.next()];
  await publish('1');
  await Promise.race([first, second]);
  await publish('2');
  expect([await textOf(first), await textOf(second)].sort()).toEqual(['1', '2']);
  // No member is connected now, and each comes back with a cursor before or after that of the other.
  await publish('3');
  expect(await textOf(one.next())).toBe('3');
  await publish('4');
  expect(await textOf(two.next())).toBe('4');
});
