import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MintedClaims } from '../../../../../test/support/tokens.ts';
import { inSeconds, startTokenServer, token, type TokenServer } from '../token-server.ts';
import { StompClient, type ClientFrame } from '../../../../../test/clients/stomp/client.ts';

let server: TokenServer;
const clients: StompClient[] = [];
beforeEach(async () => {
  server = await startTokenServer({ store: 'memory:' });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  await server.stop();
});

const ways = ['tcp', 'websocket'] as const;
type Way = (typeof ways)[number];
type HeaderFields = Readonly<Record<string, string>>;

const everything = { subscribe: ['**'], publish: ['**'] };

async function open(way: Way = 'tcp', query = ''): Promise<StompClient> {
  const client = await StompClient.open(way === 'tcp' ? server.stomp! : `${server.url}${query}`);
  clients.push(client);
  return client;
}

async function connected(
  claims: MintedClaims,
  headers: HeaderFields = {},
  way: Way = 'tcp',
): Promise<StompClient> {
  const client = await open(way);
  const answer = await client.connect({ passcode: await token(claims), ...headers });
  expect(answer.command).toBe('CONNECTED');
  return client;
}

/** What CONNECT with these headers ends with. */
async function refused(headers: HeaderFields, way: Way = 'tcp', query = ''): Promise<ClientFrame> {
  const client = await open(way, query);
  client.send('CONNECT', { 'accept-version': '1.2', host: 'test', ...headers });
  const error = await client.error();
  if (way === 'websocket') expect(client.closeCode).toBe(1008);
  return error;
}

async function publish(destination: string, ...bodies: string[]): Promise<void> {
  const client = await connected({ sub: 'writer', ...everything });
  for (const body of bodies)
    expect((await client.ask('SEND', { destination }, body)).command).toBe('RECEIPT');
  client.cut();
}

describe.each(ways)('CONNECT over %s', (way) => {
  it('is refused without a token, and with an invalid one', async () => {
    const good = await token({ sub: 'ann', ...everything });
    const expired = await token({ sub: 'ann', ...everything, exp: inSeconds(-10) });
    const bad: HeaderFields[] = [
      {},
      { login: 'ann' },
      { login: 'ann', passcode: '' },
      ...['guest', good.slice(0, -2), expired, 'ewt_never'].map((passcode) => ({ passcode })),
      { Authorization: `Bearer ${expired}` },
      { Authorization: `Bearer ${good}`, passcode: expired },
    ];
    for (const headers of bad) {
      const error = await refused(headers, way);
      expect(error.headers).toMatchObject({ message: 'unauthorized' });
      expect(JSON.stringify([error.headers, error.body.toString()])).not.toContain(good.slice(0, 20));
    }
  });

  it('takes a token as passcode, or as bearer where the passcode is empty, and says whose it is', async () => {
    const good = await token({ sub: 'ann', ...everything });
    for (const headers of [
      { passcode: good },
      { passcode: good, login: 'ann' },
      { passcode: good, login: '' },
      { Authorization: `Bearer ${good}`, passcode: '' },
    ]) {
      const client = await open(way);
      const answer = await client.connect(headers);
      expect(answer).toMatchObject({ command: 'CONNECTED', headers: { 'user-name': 'ann' } });
    }
  });

  it('takes no other login than the subject', async () => {
    const passcode = await token({ sub: 'ann', ...everything });
    for (const login of ['bob', 'Ann', 'ann2', '#', '*', 'ann/x', '__proto__'])
      expect((await refused({ passcode, login }, way)).headers).toMatchObject({ message: 'unauthorized' });
  });
});

it('a ticket is good once: as passcode, or in the address of a WebSocket', async () => {
  const claims = { ...everything, expiresAtMs: Date.now() + 60_000, issuedAtMs: Date.now() };
  const issue = () => server.tokens.issueTicket({ subject: 'ann', isAdmin: false, claims }).ticket;
  const passcode = issue();
  expect((await (await open()).connect({ passcode })).command).toBe('CONNECTED');
  expect((await refused({ passcode })).headers).toMatchObject({ message: 'unauthorized' });
  const query = `?ticket=${issue()}`;
  const byAddress = await open('websocket', query);
  expect((await byAddress.connect()).headers).toMatchObject({ 'user-name': 'ann' });
  expect((await refused({}, 'websocket', query)).headers).toMatchObject({ message: 'unauthorized' });
});

describe('rights', () => {
  it('SUBSCRIBE to what is not allowed is answered with ERROR, for a queue and a durable name as well', async () => {
    const claims = { sub: 'ann', subscribe: ['topic/a/**', '!topic/a/secret', 'queue/a'] };
    for (const more of [
      { destination: '/topic/b' },
      { destination: '/topic/a/secret' },
      { destination: '/topic/**' },
      { destination: '/queue/b', ack: 'client' },
      { destination: '$share/g/topic/b' },
      { destination: '/topic/b', durable: 'true' },
      { destination: '/topic/b', after: '0-1' },
    ]) {
      const client = await connected(claims, { 'client-id': `c ${more.destination}` });
      client.send('SUBSCRIBE', { id: '1', receipt: 'r', ...more });
      const { headers } = await client.error();
      expect(headers['receipt-id']).toBe('r');
      expect(headers['message']).toBe('forbidden');
    }
    const client = await connected(claims);
    for (const [at, destination] of ['/topic/a/*', '/queue/a'].entries())
      expect((await client.ask('SUBSCRIBE', { id: String(at), destination })).command).toBe('RECEIPT');
    await publish('/topic/a/secret', 'no');
    await publish('/topic/a/open', 'yes');
    expect(await client.bodies(1)).toEqual(['yes']);
  });

  it('SEND to what is not allowed is answered with ERROR, and nothing behind it is done', async () => {
    const client = await connected({ sub: 'ann', publish: ['topic/a'] });
    client.send('SEND', { destination: '/topic/a' }, 'one');
    client.send('SEND', { destination: '/topic/b', receipt: 'r' }, 'no');
    client.send('SEND', { destination: '/topic/a' }, 'too late');
    const { headers } = await client.error();
    expect(headers).toMatchObject({ message: 'forbidden', 'receipt-id': 'r' });
    const reader = await connected({ sub: 'bob', ...everything });
    await reader.ask('SUBSCRIBE', { id: '1', destination: '/topic/*', since: 'earliest' });
    await publish('/topic/end', 'end');
    expect(await reader.bodies(2)).toEqual(['one', 'end']);
  });

  it('of a transaction in which one SEND is not allowed, nothing is stored', async () => {
    const client = await connected({ sub: 'ann', publish: ['topic/a'] });
    client.send('BEGIN', { transaction: 't' });
    client.send('SEND', { destination: '/topic/a', transaction: 't' }, 'no');
    client.send('SEND', { destination: '/topic/b', transaction: 't' }, 'no');
    client.send('COMMIT', { transaction: 't', receipt: 'r' });
    expect((await client.error()).headers).toMatchObject({ message: 'forbidden' });
    const reader = await connected({ sub: 'bob', ...everything });
    await reader.ask('SUBSCRIBE', { id: '1', destination: '/topic/*', since: 'earliest' });
    await publish('/topic/end', 'end');
    expect(await reader.bodies(1)).toEqual(['end']);
  });

  it('/user/… is of the subject, for any login, and always one level of a name', async () => {
    const own = { subscribe: ['user/{sub}/**'], publish: ['user/{sub}/**'] };
    const ann = await connected({ sub: 'ann', ...own });
    await ann.ask('SUBSCRIBE', { id: '1', destination: '/user/inbox' });
    await ann.ask('SEND', { destination: '/user/inbox' }, 'hello');
    expect(await ann.bodies(1)).toEqual(['hello']);
    await publish('/channels/user/ann/inbox', 'from outside');
    expect(await ann.bodies(1)).toEqual(['from outside']);
    for (const sub of ['ann/inbox', 'org/ann']) {
      const client = await connected({ sub, ...own });
      await client.ask('SUBSCRIBE', { id: '1', destination: '/user/inbox' });
      await client.ask('SEND', { destination: '/user/inbox' }, `of ${sub}`);
      expect(await client.bodies(1)).toEqual([`of ${sub}`]);
    }
  });
});

describe('the end of a token', () => {
  it.each(ways)(
    'by its date is reported with ERROR over %s, and the durable subscription resumes',
    async (way) => {
      const headers = { 'client-id': 'c' };
      const subscribe = { id: '1', destination: '/topic/a', durable: 'true', ack: 'client-individual' };
      const client = await connected({ sub: 'ann', ...everything, exp: inSeconds(60) }, headers, way);
      await client.ask('SUBSCRIBE', subscribe);
      await publish('/topic/a', 'one', 'two');
      const [first] = await client.take(2);
      await client.ask('ACK', { id: first!.headers['ack']! });
      server.clock.stepMs = 61_000;
      expect((await client.error()).headers).toMatchObject({ message: 'unauthorized' });
      if (way === 'websocket') expect(client.closeCode).toBe(1008);
      await publish('/topic/a', 'three');
      const back = await connected({ sub: 'ann', ...everything }, headers, way);
      await back.ask('SUBSCRIBE', subscribe);
      expect(await back.bodies(2)).toEqual(['two', 'three']);
    },
  );

  it('by revocation ends that connection alone, and its queue goes to others', async () => {
    const one = await connected({ sub: 'ann', jti: 'one', ...everything });
    const two = await connected({ sub: 'ann', jti: 'two', ...everything });
    const queue = { id: '1', destination: '/queue/jobs', ack: 'client-individual' };
    await one.ask('SUBSCRIBE', queue);
    await publish('/queue/jobs', 'job');
    expect(await one.bodies(1)).toEqual(['job']);
    await two.ask('SUBSCRIBE', queue);
    const startedMs = performance.now();
    await server.tokens.revoke({ tokenId: 'one' });
    expect((await one.error()).headers).toMatchObject({ message: 'unauthorized' });
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    const [job] = await two.take(1);
    expect([job!.body.toString(), job!.headers['redelivered']]).toEqual(['job', 'true']);
  });

  it('between SEND and COMMIT refuses the transaction as a whole', async () => {
    const client = await connected({ sub: 'ann', ...everything, exp: inSeconds(60) });
    client.send('BEGIN', { transaction: 't' });
    await client.ask('BEGIN', { transaction: 'other' });
    client.send('SEND', { destination: '/topic/a', transaction: 't' }, 'no');
    await client.ask('ABORT', { transaction: 'other' });
    server.clock.stepMs = 61_000;
    client.send('COMMIT', { transaction: 't' });
    expect((await client.error()).headers).toMatchObject({ message: 'unauthorized' });
    const reader = await connected({ sub: 'bob', ...everything });
    await reader.ask('SUBSCRIBE', { id: '1', destination: '/topic/*', since: 'earliest' });
    await publish('/topic/end', 'end');
    expect(await reader.bodies(1)).toEqual(['end']);
  });
});

describe('what outlives a connection', () => {
  const headers = { 'client-id': 'the same' };
  const subscribe = { id: '1', destination: '/topic/*', durable: 'true' };

  it('a durable subscription is authorised anew: refused as a whole, and nothing of what is denied now', async () => {
    const client = await connected({ sub: 'ann', ...everything }, headers);
    await client.ask('SUBSCRIBE', subscribe);
    client.cut();
    await client.closed();
    for (const name of ['a', 'b', 'a', 'c']) await publish(`/topic/${name}`, name);
    const none = await connected({ sub: 'ann', subscribe: ['topic/a'] }, headers);
    none.send('SUBSCRIBE', subscribe);
    expect((await none.error()).headers).toMatchObject({ message: 'forbidden' });
    const less = await connected({ sub: 'ann', subscribe: ['topic/*', '!topic/b'] }, headers);
    await less.ask('SUBSCRIBE', subscribe);
    expect(await less.bodies(3)).toEqual(['a', 'a', 'c']);
  });

  it('a client id belongs to its subject: that of another subject has its own position (T10)', async () => {
    const ann = await connected({ sub: 'ann', ...everything }, headers);
    await ann.ask('SUBSCRIBE', subscribe);
    await publish('/topic/a', 'first');
    expect(await ann.bodies(1)).toEqual(['first']);
    const bob = await connected({ sub: 'bob', ...everything }, headers);
    await bob.ask('SUBSCRIBE', subscribe);
    await bob.ask('UNSUBSCRIBE', { id: '1', durable: 'true' });
    await publish('/topic/a', 'second');
    expect(await ann.bodies(1)).toEqual(['second']);
    expect(ann.isClosed).toBe(false);
    ann.cut();
    await ann.closed();
    await publish('/topic/a', 'third');
    const back = await connected({ sub: 'ann', ...everything }, headers);
    await back.ask('SUBSCRIBE', subscribe);
    expect(await back.bodies(1)).toEqual(['third']);
  });
});
