import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import type { MintedClaims } from '../../../../../test/support/tokens.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { startTokenServer, token, type TokenServer } from '../token-server.ts';
import { StompClient } from '../../../../../test/clients/stomp/client.ts';

/** How many durable subscriptions one subject may make the server keep, of those that all subjects share (T34). */
const most = 3;
const limits = { stompDurablesPerSubjectMax: most };

const servers: TokenServer[] = [];
const clients: StompClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  for (const server of servers.splice(0)) await server.stop();
});

async function start(): Promise<TokenServer> {
  const server = await startTokenServer({ store: 'memory:', limits });
  servers.push(server);
  return server;
}

interface Asked extends MintedClaims {
  readonly clientId?: string;
}

async function connected(server: TokenServer, { clientId = 'c', ...claims }: Asked): Promise<StompClient> {
  const client = await StompClient.open(server.stomp!);
  clients.push(client);
  const shown = { passcode: await token({ subscribe: ['a'], ...claims }), 'client-id': clientId };
  expect((await client.connect(shown)).command).toBe('CONNECTED');
  return client;
}

/** Subscribes durably by each of these names in turn, until one is refused. */
async function subscribe(client: StompClient, names: readonly string[]): Promise<string[]> {
  const told: string[] = [];
  for (const id of names) {
    const { command, headers } = await client.ask('SUBSCRIBE', { id, destination: 'a', durable: 'true' });
    told.push(command === 'RECEIPT' ? 'ok' : headers['message']!);
  }
  return told;
}

/** The answers to a client that connects only to subscribe to `names`. */
async function told(server: TokenServer, asked: Asked, ...names: readonly string[]): Promise<string[]> {
  const client = await connected(server, asked);
  const answers = await subscribe(client, names);
  client.cut();
  await client.closed();
  return answers;
}

const names = Array.from({ length: most }, (_, at) => `kept/${at}`);
const oks = names.map(() => 'ok');
const eve = { sub: 'eve/%2F ü' };

it('a subject that has as many as it may is refused another, also by another client id, and has those that it has', async () => {
  const server = await start();
  expect(await told(server, eve, ...names, 'one more')).toEqual([...oks, 'quota_exceeded']);
  expect(await told(server, { ...eve, clientId: 'other' }, 'one more')).toEqual(['quota_exceeded']);
  expect(await told(server, eve, ...names)).toEqual(oks);
});

it('UNSUBSCRIBE for good makes room for one, each time, and for now makes none', async () => {
  const server = await start();
  const client = await connected(server, eve);
  expect(await subscribe(client, names)).toEqual(oks);
  for (const id of [names[0]!, 'another', 'yet another']) {
    expect((await client.ask('UNSUBSCRIBE', { id, durable: 'true' })).command).toBe('RECEIPT');
    // What is gone is not given back twice.
    await client.ask('UNSUBSCRIBE', { 'activemq.subscriptionName': id });
    const next = id === names[0] ? 'another' : 'yet another';
    expect(await subscribe(client, [next])).toEqual(['ok']);
  }
  expect((await client.ask('UNSUBSCRIBE', { id: names[1]! })).command).toBe('RECEIPT');
  expect(await subscribe(client, ['one more'])).toEqual(['quota_exceeded']);
});

it('what one subject has takes nothing from another, nor from administrators', async () => {
  const server = await start();
  expect(await told(server, eve, ...names)).toEqual(oks);
  expect(await told(server, { sub: 'eve' }, ...names, 'one more')).toEqual([...oks, 'quota_exceeded']);
  const root = { sub: 'root', admin: true, subscribe: ['a'] };
  expect(await told(server, root, ...names, 'one more')).toEqual([...oks, 'ok']);
  // The sessions of an administrator are not counted for the same subject without the right.
  expect(await told(server, { ...root, admin: false }, ...names, 'two more')).toEqual([
    ...oks,
    'quota_exceeded',
  ]);
});

it('a subject has no more when all of its clients came at once', async () => {
  const server = await start();
  const ids = Array.from({ length: 4 * most }, (_, at) => `at once ${at}`);
  const all = await Promise.all(ids.map((clientId) => connected(server, { ...eve, clientId })));
  const answers = (await Promise.all(all.map((client) => subscribe(client, ['s'])))).flat();
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(most);
  expect(new Set(answers)).toEqual(new Set(['ok', 'quota_exceeded']));
});

it('one that is taken up again while it is being given up is there once', async () => {
  const server = await start();
  const client = await connected(server, eve);
  expect(await subscribe(client, names)).toEqual(oks);
  const isOver = Promise.withResolvers<undefined>();
  const isBegun = Promise.withResolvers<undefined>();
  const write = Reflect.get(MemoryRecords.prototype, 'write');
  const held = vi.spyOn(MemoryRecords.prototype, 'write').mockImplementation(async function (
    this: MemoryRecords,
    writes,
  ) {
    isBegun.resolve(undefined);
    await isOver.promise;
    await write.call(this, writes);
  });
  try {
    client.send('UNSUBSCRIBE', { id: names[0]!, durable: 'true' });
    await isBegun.promise;
    const next = await connected(server, eve);
    await client.closed();
    const again = subscribe(next, [names[0]!]);
    await vi.waitFor(() => expect(held.mock.calls.length).toBeGreaterThan(1));
    isOver.resolve(undefined);
    expect(await again).toEqual(['ok']);
    expect(await subscribe(next, [...names.slice(1), 'one more'])).toEqual(['ok', 'ok', 'quota_exceeded']);
  } finally {
    isOver.resolve(undefined);
    held.mockRestore();
  }
});

it('a server that is started anew knows whose they are, and those that have become too old count no more', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-shares-'));
  const config = { store: `lmdb:${folder}`, limits };
  const first = await startTokenServer(config);
  try {
    expect(await told(first, eve, ...names)).toEqual(oks);
    await first.stop();
    const second = await first.again();
    expect(await told(second, eve, ...names, 'one more')).toEqual([...oks, 'quota_exceeded']);
    expect(await told(second, { sub: 'bob' }, ...names)).toEqual(oks);
    const client = await connected(second, eve);
    await client.ask('UNSUBSCRIBE', { 'activemq.subscriptionName': names[0]! });
    expect(await subscribe(client, ['another', 'one more'])).toEqual(['ok', 'quota_exceeded']);
    await second.stop();
    const third = await second.again({
      ...config,
      limits: { ...limits, stompDurableIdleMs: 0 },
    });
    expect(await told(third, eve, 'a', 'b', 'c', 'd')).toEqual([...oks, 'quota_exceeded']);
    await third.stop();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
