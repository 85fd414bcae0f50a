import { setTimeout as sleep } from 'node:timers/promises';
import { parseCursor } from '@everywire/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { IoClient, post as postTo, ways, type Arrived, type ClientOptions } from './socketio-client.ts';
import { startProxy } from './socketio-proxy.ts';

let server: TestServer;
let channels = 0;
const clients: IoClient[] = [];
const fresh = (): string => `grouped-${(channels += 1)}`;

beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function connect(options?: ClientOptions, ioNamespace = '/'): Promise<IoClient> {
  const client = await IoClient.connect(server.url + ioNamespace, options);
  clients.push(client);
  return client;
}

const post = (channel: string, payload: string | Buffer, type?: string) =>
  postTo(server.url, channel, payload, type);

const seqOf = (cursor: string): number => parseCursor(cursor)!.seq;
const offsetsOf = (arrived: readonly Arrived[]): readonly number[] =>
  arrived.map(({ meta }) => meta.offset).sort((left, right) => left - right);
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at + 1);

describe.each(ways)('a group by $name', ({ transports }) => {
  it('shares new messages, each to one member, and gives all to the last member', async () => {
    const channel = fresh();
    const group = `$share/workers/${channel}`;
    const [one, two] = [await connect({ transports }), await connect({ transports })];
    for (const client of [one, two])
      expect(await client.command('subscribe', group)).toMatchObject({ ok: true, continuity: 'exact' });
    for (let at = 0; at < 20; at += 1) await post(channel, `m${at}`);
    await expect.poll(() => one.arrived.length + two.arrived.length).toBe(20);
    expect(offsetsOf([...one.arrived, ...two.arrived])).toEqual(upTo(20));
    expect(Math.min(one.arrived.length, two.arrived.length)).toBeGreaterThan(0);

    const before = two.arrived.length;
    const left = one.arrived.length;
    one.close();
    // Its goodbye may still be on its way when the library calls it closed.
    await expect.poll(() => subscribersOf(channel)).toBe(1);
    for (let at = 0; at < 5; at += 1) await post(channel, `n${at}`);
    await two.until(before + 5);
    expect(two.arrived.slice(before).map(({ data }) => data)).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
    expect(one.arrived).toHaveLength(left);
  });

  it('brings bytes as bytes, and names the message, but not as the place to come back to', async () => {
    const [channel, followed] = [fresh(), fresh()];
    const client = await connect({ transports });
    const group = `$share/workers/${channel}`;
    await client.command('subscribe', group);
    const alone = await post(channel, Buffer.from([0, 255, 1]), 'image/png');
    await client.until(1);
    expect(client.arrived[0]).toMatchObject({
      data: Buffer.from([0, 255, 1]),
      meta: { channel, offset: 1, cursor: alone.cursor },
    });
    // It has nothing of anything that has an order, so it may still begin anywhere.
    expect(seqOf(client.arrived[0]!.cursor)).toBe(0);

    await client.command('subscribe', followed);
    const place = await post(followed, 'followed');
    await client.until(2);
    const shared = await post(channel, '{"a":1}', 'application/json');
    await client.until(3);
    expect(client.arrived[2]).toMatchObject({ data: { a: 1 }, meta: { cursor: shared.cursor } });
    expect(client.arrived[2]!.cursor).toBe(place.cursor);
    expect(client.lastOffset).toBe(place.cursor);
  });

  it('may come before what is followed from further back, and nothing of that is skipped', async () => {
    const [channel, followed] = [fresh(), fresh()];
    for (const data of ['1', '2', '3']) await post(followed, data);
    const client = await connect({ transports, reconnection: true });
    await client.command('subscribe', `$share/workers/${channel}`);
    await post(channel, 'shared');
    await client.until(1);
    expect(await client.command('subscribe', followed, { since: 'earliest' })).toMatchObject({ ok: true });
    // At once, so that some of it is on its way.
    const back = backAgain(client);
    client.cut();
    await back;
    await client.until(4);
    expect(client.socket.recovered).toBe(true);
    expect(client.arrived.map(({ data }) => data)).toEqual(['shared', '1', '2', '3']);
  });

  it('is left when asked, and entered once', async () => {
    const [channel, other] = [fresh(), fresh()];
    const group = `$share/workers/${channel}`;
    const client = await connect({ transports });
    await client.command('subscribe', other);
    expect(await client.command('unsubscribe', group)).toMatchObject({ error: { code: 'not_found' } });
    await client.command('subscribe', group);
    // Another spelling of the filter, and a cursor: the group keeps its own position.
    await post(channel, 'first');
    await client.until(1);
    const again = await client.command('subscribe', group, { since: 'earliest' });
    expect(again).toMatchObject({ ok: true, continuity: 'exact' });
    await post(channel, 'second');
    await client.until(2);
    expect(await client.command('unsubscribe', group)).toEqual({ ok: true });
    await post(channel, 'without a member');
    await post(other, 'end');
    await client.until(3);
    expect(client.arrived.map(({ data }) => data)).toEqual(['first', 'second', 'end']);
  });

  it('is entered again by a client that comes back', async () => {
    const channel = fresh();
    const group = `$share/workers/${channel}`;
    const [client, other] = [
      await connect({ transports, reconnection: true }),
      await connect({ transports }),
    ];
    await post(channel, 'begins it');
    for (const one of [client, other]) await one.command('subscribe', group);
    const back = backAgain(client);
    client.cut();
    await back;
    expect(client.socket.recovered).toBe(true);
    await expect.poll(() => subscribersOf(channel)).toBe(2);
    for (let at = 0; at < 6; at += 1) await post(channel, `m${at}`);
    await expect.poll(() => client.arrived.length + other.arrived.length).toBe(6);
    expect(client.arrived.length).toBeGreaterThan(0);
    expect(offsetsOf([...client.arrived, ...other.arrived])).toEqual(upTo(7).slice(1));
  });
});

it('belongs to the channels of a namespace, by its filter', async () => {
  const level = fresh();
  const client = await connect({}, `/${level}`);
  const other = await connect();
  await client.command('subscribe', '$share/workers/room/*');
  await other.command('subscribe', `$share/workers/${level}/room/+`);
  for (let at = 0; at < 4; at += 1) await post(`${level}/room/${at}`, `m${at}`);
  await expect.poll(() => client.arrived.length + other.arrived.length).toBe(4);
  expect(client.arrived).toHaveLength(2);
  expect(client.arrived[0]!.meta.channel).toMatch(`${level}/room/`);
  expect(await client.command('unsubscribe', '$share/workers/room/*')).toEqual({ ok: true });
});

it.each(['/', '/chat'])('refuses names of no group as bad names in %s', async (ioNamespace) => {
  const client = await connect({}, ioNamespace);
  for (const name of [
    '$share',
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//jobs',
    '$share/g*/jobs',
    '$share/g+/jobs',
    '$share/#/jobs',
    '$share/g/jobs*',
    '$share/g/**/jobs',
    '$share/g\u0000/jobs',
    `$share/g/${'x'.repeat(5_000)}`,
  ]) {
    const isFilterOfNamespace = ioNamespace !== '/' && (name === '$share' || name === '$share/g/');
    const answer = await client.command('subscribe', name);
    if (isFilterOfNamespace) expect(answer, name).toMatchObject({ ok: true });
    else expect(answer, name).toMatchObject({ ok: false, error: { code: 'bad_name' } });
  }
});

const cuts = 100;

it(
  `${cuts} cuts: nothing of a channel is lost or repeated beside a group`,
  { timeout: 120_000 },
  async () => {
    const [followed, channel] = [fresh(), fresh()];
    const proxies = await Promise.all(ways.slice(0, 2).map(() => startProxy(server.url)));
    const members = await Promise.all(
      proxies.map(async (proxy, at) => {
        const { transports } = ways[at]!;
        const client = await IoClient.connect(proxy.url, { transports, reconnection: true });
        clients.push(client);
        await client.command('subscribe', followed);
        await client.command('subscribe', `$share/workers/${channel}`);
        return client;
      }),
    );
    const stop = new AbortController();
    let written = 0;
    const failures: string[] = [];
    for (const { socket } of members) {
      socket.on('connect', () => {
        if (!socket.recovered) failures.push('came back as a new client');
      });
    }
    const writing = (async () => {
      while (!stop.signal.aborted) {
        await Promise.all([post(channel, `shared ${written}`), post(followed, `${written}`)]);
        written += 1;
        await sleep(Math.random() * 4);
      }
    })();
    await Promise.all(
      members.map(async (client, at) => {
        for (let cut = 0; cut < cuts / 2; cut += 1) {
          await sleep(Math.random() * 60);
          const back = backAgain(client);
          // Between two polls nothing may be open that could be cut.
          while (client.socket.connected) {
            proxies[at]!.cut();
            await Promise.race([back, sleep(5)]);
          }
          await back;
        }
      }),
    );
    stop.abort();
    await writing;
    for (const client of members) {
      const own = (): readonly unknown[] =>
        client.arrived.filter(({ meta }) => meta.channel === followed).map(({ data }) => data);
      await expect.poll(() => own().length, { timeout: 60_000 }).toBeGreaterThanOrEqual(written);
      expect(own()).toEqual(Array.from({ length: written }, (_, at) => `${at}`));
    }
    const shared = members.flatMap(({ arrived }) =>
      offsetsOf(arrived.filter(({ meta }) => meta.channel === channel)),
    );
    // What is under way when a member is cut is lost for a group whose members do not acknowledge; nothing comes twice.
    expect(new Set(shared).size).toBe(shared.length);
    expect(shared.length).toBeGreaterThan(0);
    expect(failures).toEqual([]);
    for (const proxy of proxies) proxy.stop();
  },
);

/** Resolves with the next connection, which may come before the end of this one is seen. */
function backAgain({ socket }: IoClient): Promise<void> {
  return new Promise((resolve) => socket.once('connect', resolve));
}

/** How many subscriptions match a channel. */
async function subscribersOf(channel: string): Promise<number> {
  const response = await fetch(`${server.url}/channels?filter=${channel}`);
  const [found] = (
    (await response.json()) as { readonly channels: readonly { readonly subscribers: number }[] }
  ).channels;
  return found?.subscribers ?? -1;
}
