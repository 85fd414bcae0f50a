import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';
import { StompClient, type ClientFrame } from '../../../../../test/clients/stomp/client.ts';

let server: TestServer;
const clients: StompClient[] = [];
let names = 0;
const fresh = (): string => `/queue/q${(names += 1)}`;

beforeAll(async () => {
  server = await startTestServer({});
});
afterEach(() => {
  for (const client of clients.splice(0)) client.cut();
});
afterAll(() => server.stop());

async function connected(version = '1.2'): Promise<StompClient> {
  const client = await StompClient.open(server.stomp!);
  clients.push(client);
  await client.connect({ 'accept-version': version });
  return client;
}

async function consumer(
  destination: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<StompClient> {
  const client = await connected();
  const answer = await client.ask('SUBSCRIBE', {
    id: 'c',
    destination,
    ack: 'client-individual',
    ...headers,
  });
  expect(answer.command).toBe('RECEIPT');
  return client;
}

async function publish(destination: string, count: number, from = 1): Promise<void> {
  const client = await connected();
  for (let at = from; at < from + count; at += 1) await client.ask('SEND', { destination }, String(at));
}

const messagesOf = (client: StompClient): ClientFrame[] =>
  client.frames.filter(({ command }) => command === 'MESSAGE');
const bodiesOf = (...of: StompClient[]): string[] =>
  of.flatMap((client) => messagesOf(client).map(({ body }) => body.toString()));

async function untilTogether(count: number, ...of: StompClient[]): Promise<void> {
  await expect.poll(() => bodiesOf(...of).length, { timeout: 60_000 }).toBe(count);
}

describe('a queue', () => {
  it('gives each message to one of its consumers, by turns', async () => {
    const destination = fresh();
    const [a, b] = [await consumer(destination), await consumer(destination)];
    await publish(destination, 20);
    await untilTogether(20, a, b);
    expect(
      bodiesOf(a, b)
        .map(Number)
        .sort((x, y) => x - y),
    ).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    expect(messagesOf(a).length).toBeGreaterThan(4);
    expect(messagesOf(b).length).toBeGreaterThan(4);
    expect(messagesOf(a).every(({ headers }) => headers['destination'] === destination)).toBe(true);
  });

  it('keeps what comes without a consumer, from the first message on', async () => {
    const destination = fresh();
    await publish(destination, 3);
    const first = await consumer(destination);
    for (const message of await first.take(3)) await first.ask('ACK', { id: message.headers['ack']! });
    await first.ask('DISCONNECT');
    await publish(destination, 2, 4);
    const second = await consumer(destination);
    expect(await second.bodies(2)).toEqual(['4', '5']);
    expect(messagesOf(second).every(({ headers }) => headers['redelivered'] === undefined)).toBe(true);
  });

  it('gives what a consumer did not acknowledge to another when it is lost, marked', async () => {
    const destination = fresh();
    const lost = await consumer(destination);
    await publish(destination, 4);
    const [first] = await lost.take(4);
    await lost.ask('ACK', { id: first!.headers['ack']! });
    const other = await consumer(destination);
    lost.cut();
    const messages = await other.take(3);
    expect(messages.map(({ body }) => body.toString())).toEqual(['2', '3', '4']);
    expect(messages.every(({ headers }) => headers['redelivered'] === 'true')).toBe(true);
    for (const message of messages) await other.ask('ACK', { id: message.headers['ack']! });
    await publish(destination, 1, 5);
    const next = await other.next();
    expect([next.body.toString(), next.headers['redelivered']]).toEqual(['5', undefined]);
  });

  it('keeps what a lost connection had in one subscription from another one of that connection', async () => {
    const destination = fresh();
    const lost = await consumer(destination);
    await publish(destination, 2);
    await lost.take(2);
    await lost.ask('SUBSCRIBE', { id: 'second', destination, ack: 'auto' });
    lost.cut();
    const other = await consumer(destination);
    expect(await other.bodies(2)).toEqual(['1', '2']);
  });

  it('gives a message that was NACKed to another consumer first', async () => {
    const destination = fresh();
    const a = await consumer(destination);
    await publish(destination, 1);
    const message = await a.next();
    const b = await consumer(destination);
    await a.ask('NACK', { id: message.headers['ack']! });
    const again = await b.next();
    expect([again.body.toString(), again.headers['redelivered']]).toEqual(['1', 'true']);
    await b.ask('ACK', { id: again.headers['ack']! });
    expect(messagesOf(a)).toHaveLength(1);
  });

  it('holds a consumer to its prefetch-count, and others continue', async () => {
    const destination = fresh();
    const slow = await consumer(destination, { 'prefetch-count': '1' });
    const quick = await consumer(destination, { ack: 'auto' });
    await publish(destination, 20);
    await untilTogether(20, slow, quick);
    expect(messagesOf(slow)).toHaveLength(1);
  });

  it('is one group with members that join from elsewhere, and is read by all at its channel', async () => {
    const destination = fresh();
    const client = await connected();
    await client.ask('SUBSCRIBE', { id: 'watch', destination: destination.slice(1) });
    const member = await connected();
    await member.ask('SUBSCRIBE', { id: 'member', destination: `$share/queue${destination}` });
    const member2 = await consumer(destination, { ack: 'auto' });
    await publish(destination, 10);
    await untilTogether(10, member, member2);
    await untilTogether(10, client);
  });

  it('is forgotten with its last consumer when that asked for it', async () => {
    const destination = fresh();
    const first = await consumer(destination, { 'auto-delete': 'true', ack: 'auto' });
    await publish(destination, 1);
    expect(await first.bodies(1)).toEqual(['1']);
    await first.ask('DISCONNECT');
    const second = await consumer(destination, { since: 'latest', ack: 'auto' });
    await publish(destination, 1, 2);
    expect(await second.bodies(1)).toEqual(['2']);
  });
});

describe('a durable subscription without a client-id', () => {
  it('is shared by all clients that know its name, and continues until it is given up', async () => {
    const destination = `/topic/shared-${names}`;
    const durable = { id: 'orders*/1', destination, durable: 'True', 'auto-delete': 'False', ack: 'auto' };
    const [a, b] = [await connected(), await connected()];
    for (const client of [a, b]) await client.ask('SUBSCRIBE', durable);
    await publish(destination, 10);
    await untilTogether(10, a, b);
    for (const client of [a, b]) await client.ask('DISCONNECT');
    await publish(destination, 1, 11);
    const c = await connected();
    await c.ask('SUBSCRIBE', durable);
    expect(await c.bodies(1)).toEqual(['11']);
    await c.ask('UNSUBSCRIBE', { id: durable.id, durable: 'true' });
    await publish(destination, 1, 12);
    await c.ask('SUBSCRIBE', durable);
    await publish(destination, 1, 13);
    expect(await c.bodies(1)).toEqual(['13']);
  });
});
