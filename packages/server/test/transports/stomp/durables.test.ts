import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';
import { StompClient, type ClientFrame } from '../../../../../test/clients/stomp/client.ts';

let server: TestServer;
const clients: StompClient[] = [];
let names = 0;

beforeAll(async () => {
  server = await startTestServer({ limits: { stompDurablesMax: 40 } });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.cut();
});
afterAll(() => server.stop());

const fresh = (): { destination: string; id: string } => {
  names += 1;
  return { destination: `/topic/durable-${names}`, id: `client-${names}` };
};

async function connected(clientId?: string, version = '1.2'): Promise<StompClient> {
  const client = await StompClient.open(server.stomp!);
  clients.push(client);
  const headers = clientId === undefined ? {} : { 'client-id': clientId };
  expect((await client.connect({ 'accept-version': version, ...headers })).command).toBe('CONNECTED');
  return client;
}

async function durable(
  clientId: string,
  destination: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<StompClient> {
  const client = await connected(clientId);
  const answer = await client.ask('SUBSCRIBE', { id: 's', destination, durable: 'true', ...headers });
  expect(answer.command).toBe('RECEIPT');
  return client;
}

async function publish(destination: string, ...bodies: string[]): Promise<void> {
  const client = await connected();
  for (const body of bodies) await client.ask('SEND', { destination }, body);
}

const summary = ({ body, headers }: ClientFrame): string =>
  `${body.toString()}${headers['redelivered'] === 'true' ? ' again' : ''}`;

describe('a durable subscription', () => {
  it.each(['DISCONNECT', 'a cut connection'])('resumes where it was after %s, by auto', async (how) => {
    const { destination, id } = fresh();
    const first = await durable(id, destination);
    await publish(destination, '1', '2');
    expect(await first.bodies(2)).toEqual(['1', '2']);
    if (how === 'DISCONNECT') await first.ask('DISCONNECT');
    else first.cut();
    await publish(destination, '3', '4');
    const second = await durable(id, destination);
    await publish(destination, '5');
    expect((await second.take(3)).map(summary)).toEqual(['3', '4', '5']);
  });

  it('gives again what was not acknowledged, marked, and nothing that was', async () => {
    const { destination, id } = fresh();
    const first = await durable(id, destination, { ack: 'client-individual' });
    await publish(destination, '1', '2', '3', '4');
    const messages = await first.take(4);
    for (const at of [0, 2]) await first.ask('ACK', { id: messages[at]!.headers['ack']! });
    first.cut();
    await publish(destination, '5');
    const second = await durable(id, destination, { ack: 'client-individual' });
    expect((await second.take(3)).map(summary)).toEqual(['2 again', '4 again', '5']);
  });

  it.each([
    ['activemq.subscriptionName', 'ActiveMQ'],
    ['durable-subscription-name', 'Artemis'],
  ])('has its name from %s, as in %s, also for UNSUBSCRIBE without a subscriber', async (header) => {
    const { destination, id } = fresh();
    const subscribe = { id: 'any', destination, [header]: 'name' };
    const first = await connected(id);
    await first.ask('SUBSCRIBE', subscribe);
    await first.ask('UNSUBSCRIBE', { id: 'any' });
    await publish(destination, 'while away');
    await first.ask('SUBSCRIBE', { ...subscribe, id: 'other' });
    expect(await first.bodies(1)).toEqual(['while away']);
    await first.ask('UNSUBSCRIBE', { id: 'other' });
    expect((await first.ask('UNSUBSCRIBE', { [header]: 'name' })).command).toBe('RECEIPT');
    await publish(destination, 'without a reader');
    await first.ask('SUBSCRIBE', subscribe);
    await publish(destination, 'now');
    expect(await first.bodies(1)).toEqual(['now']);
  });

  it('that could not begin takes no place among those that are kept', async () => {
    const most = 2;
    const small = await startTestServer({ limits: { stompDurablesMax: most } });
    const subscribe = async (name: string, more: Readonly<Record<string, string>>) => {
      const client = await StompClient.open(small.stomp!);
      clients.push(client);
      await client.connect({ 'accept-version': '1.2', 'client-id': name });
      return client.ask('SUBSCRIBE', { id: 's', destination: '/topic/a', durable: 'true', ...more });
    };
    for (let at = 0; at <= most; at += 1)
      expect((await subscribe(`bad-${at}`, { after: 'no cursor' })).headers['message']).toBe('bad_cursor');
    expect((await subscribe('good', {})).command).toBe('RECEIPT');
    await small.stop();
  });

  it('is forgotten by UNSUBSCRIBE with durable:true', async () => {
    const { destination, id } = fresh();
    const first = await durable(id, destination);
    await first.ask('UNSUBSCRIBE', { id: 's', durable: 'true' });
    await publish(destination, 'without a reader');
    const second = await durable(id, destination);
    await publish(destination, 'now');
    expect(await second.bodies(1)).toEqual(['now']);
  });

  it('begins anew for another destination, or from a place that was asked for', async () => {
    const { destination, id } = fresh();
    const other = fresh().destination;
    const first = await durable(id, destination);
    await publish(destination, '1', '2');
    await first.take(2);
    await publish(other, 'not asked for');
    const second = await durable(id, destination, { since: 'earliest' });
    expect((await second.take(2)).map(summary)).toEqual(['1', '2']);
    const third = await durable(id, other);
    await publish(other, 'now');
    expect(await third.bodies(1)).toEqual(['now']);
  });

  it('is one’s own: another client-id has its own', async () => {
    const { destination, id } = fresh();
    const first = await durable(id, destination);
    await first.ask('DISCONNECT');
    await publish(destination, '1');
    const other = await durable(`${id}/s`, destination);
    await publish(destination, '2');
    expect(await other.bodies(1)).toEqual(['2']);
    const again = await durable(id, destination);
    expect(await again.bodies(2)).toEqual(['1', '2']);
  });

  it('has one connection for a client-id: the newer takes over, and nothing is lost', async () => {
    const { destination, id } = fresh();
    const first = await durable(id, destination, { ack: 'client' });
    await publish(destination, '1');
    await first.next();
    const second = await durable(id, destination, { ack: 'client' });
    expect((await first.error()).headers['message']).toBe('session_taken');
    await publish(destination, '2');
    expect((await second.take(2)).map(summary)).toEqual(['1 again', '2']);
  });

  it('is refused twice on one connection, and beyond how many are kept', async () => {
    const { destination, id } = fresh();
    const client = await durable(id, destination);
    const refused = await client.ask('SUBSCRIBE', { id: 't', destination, 'activemq.subscriptionName': 's' });
    expect(refused.headers['message']).toBe('conflict');
    const many = await connected(`${id} many`);
    let answer = await many.ask('BEGIN', { transaction: 't' });
    for (let at = 0; at < 50 && answer.command === 'RECEIPT'; at += 1) {
      answer = await many.ask('SUBSCRIBE', { id: String(at), destination, durable: 'true' });
    }
    expect(answer.headers['message']).toBe('quota_exceeded');
  });
});
