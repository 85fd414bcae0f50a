import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { IoClient, post as postTo, ways, type ClientOptions } from './socketio-client.ts';
import { startProxy, type Proxy } from './socketio-proxy.ts';

let server: TestServer;
let channels = 0;
const clients: IoClient[] = [];
const fresh = (): string => `io/${(channels += 1)}`;

beforeAll(async () => {
  server = await startTestServer({ namespaces: { 'short/**': { retention: { count: 5 } } } });
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

const post = (channel: string, payload: string | Buffer, type?: string, event?: string) =>
  postTo(server.url, channel, payload, type, event);

describe.each(ways)('socket.io-client by $name', ({ transports }) => {
  it('follows a channel: JSON as it is, text as a string, bytes as bytes, and the cursor last', async () => {
    const channel = fresh();
    const client = await connect({ transports });
    expect(await client.command('subscribe', channel)).toMatchObject({ ok: true, continuity: 'exact' });
    await post(channel, '{"a":[1,2.50,"x"]}', 'application/json', 'greeting');
    await post(channel, 'just "text"\n');
    await post(channel, Buffer.from([0, 255, 1]), 'image/png');
    const last = await post(channel, '["nested"]', 'application/json', 'disconnect');
    await client.until(4);
    expect(client.arrived.map(({ event, data }) => [event, data])).toEqual([
      ['greeting', { a: [1, 2.5, 'x'] }],
      ['message', 'just "text"\n'],
      ['message', Buffer.from([0, 255, 1])],
      // A client would take an event of that name for its own.
      ['message', ['nested']],
    ]);
    expect(client.arrived[3]!.meta).toMatchObject({
      channel,
      offset: 4,
      event: 'disconnect',
      cursor: last.cursor,
    });
    expect(client.arrived.every(({ cursor, meta }) => cursor === meta.cursor)).toBe(true);
    expect(client.lastOffset).toBe(last.cursor);
  });

  it('publishes JSON, text and bytes, once per key, and gets the position', async () => {
    const channel = fresh();
    const client = await connect({ transports });
    const options = { key: 'once', event: 'greeting', headers: { lang: 'ko' } };
    const first = await client.command('publish', channel, { text: 'hi' }, options);
    expect(first).toMatchObject({ ok: true, offset: 1 });
    expect(await client.command('publish', channel, { text: 'hi' }, options)).toEqual({
      ...first,
      duplicate: true,
    });
    expect(await client.command('publish', channel, { text: 'other' }, options)).toMatchObject({
      ok: false,
      error: { code: 'conflict' },
    });
    await client.command('publish', channel, Buffer.from([1, 2, 3]));
    await client.command('publish', channel, 'a string');
    await client.command('publish', channel, 'text', { type: 'text/plain' });
    const page = (await (await fetch(`${server.url}/channels/${channel}?since=earliest`)).json()) as {
      readonly messages: readonly object[];
    };
    expect(page.messages).toMatchObject([
      { data: { text: 'hi' }, event: 'greeting', headers: { lang: 'ko' }, type: 'application/json' },
      { base64: 'AQID', type: 'application/octet-stream' },
      { data: 'a string', type: 'text/plain; charset=utf-8' },
      { data: 'text', type: 'text/plain' },
    ]);
  });

  it('begins at a cursor or a start, and gets a gap notice', async () => {
    const channel = fresh();
    const answers = [];
    for (const payload of ['1', '2', '3', '4']) answers.push(await post(channel, payload));
    const client = await connect({ transports });
    expect(await client.command('subscribe', channel, { after: answers[1]!.cursor })).toMatchObject({
      ok: true,
      cursor: answers[1]!.cursor,
      continuity: 'exact',
    });
    await client.until(2);
    expect(client.arrived.map(({ data }) => data)).toEqual(['3', '4']);

    const short = `short/${channel}`;
    const early = await post(short, '0');
    for (let at = 1; at <= 10; at += 1) await post(short, String(at));
    const behind = await connect({ transports });
    expect(await behind.command('subscribe', short, { after: early.cursor })).toMatchObject({
      ok: true,
      continuity: 'gap',
      gap: { channel: short, from: 2, to: 6, reason: 'retention' },
    });
    await behind.until(5);
    expect(behind.arrived.map(({ data }) => data)).toEqual(['6', '7', '8', '9', '10']);
  });

  it('refuses what cannot be done with an answer, or without one by an event, and stays open', async () => {
    const client = await connect({ transports });
    const codes = async (event: string, ...args: unknown[]) =>
      (await client.command(event, ...args)).error?.code;
    expect(await codes('subscribe', 'a*')).toBe('bad_name');
    expect(await codes('subscribe', 'a', { after: 'no cursor' })).toBe('bad_cursor');
    expect(await codes('subscribe', 'a', { since: 'last--1' })).toBe('invalid');
    expect(await codes('subscribe', 7)).toBe('invalid');
    expect(await codes('unsubscribe', 'never followed')).toBe('not_found');
    expect(await codes('publish', 'a/+/b', 1)).toBe('bad_name');
    expect(await codes('publish', 'a')).toBe('invalid');
    expect(await codes('publish', 'a', { in: Buffer.from('binary inside JSON') })).toBe('invalid');
    expect(await codes('publish', 'a', 'x'.repeat(defaultLimits.payloadBytesMax + 1))).toBe('too_large');
    expect(await codes('no such event', 1)).toBe('unsupported');
    const told = new Promise<readonly unknown[]>((resolve) => {
      client.socket.once('everywire.error', (...args: unknown[]) => resolve(args));
    });
    client.socket.emit('no such event');
    const [error, about, cursor] = await told;
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(about).toEqual({ event: 'no such event' });
    expect(cursor).toBe(client.lastOffset);
    expect(client.socket.connected).toBe(true);
  });

  it('takes a namespace as a part of the channels, and refuses one that can be none', async () => {
    const channel = fresh();
    const client = await connect({ transports }, '/io');
    await client.command('subscribe', channel.slice(3));
    await client.command('publish', channel.slice(3), 'from inside');
    await post(channel, 'from outside');
    await client.until(2);
    expect(client.arrived.map(({ data, meta }) => [data, meta.channel])).toEqual([
      ['from inside', channel],
      ['from outside', channel],
    ]);
    await expect(connect({ transports }, '/$SYS')).rejects.toThrow('Invalid namespace');
  });

  it('stops following when asked', async () => {
    const channel = fresh();
    const client = await connect({ transports });
    await client.command('subscribe', channel);
    await post(channel, '1');
    await client.until(1);
    expect(await client.command('unsubscribe', channel)).toEqual({ ok: true });
    await post(channel, '2');
    await client.command('subscribe', `${channel}/other`);
    await post(`${channel}/other`, '3');
    await client.until(2);
    expect(client.arrived.map(({ data }) => data)).toEqual(['1', '3']);
  });

  it('gives several filters in the one order of the store, each message once', async () => {
    const channel = fresh();
    for (let at = 0; at < 50; at += 1) await post(`${channel}/${at % 3}`, String(at));
    const client = await connect({ transports });
    await client.command('subscribe', `${channel}/0`, { since: 'earliest' });
    await client.command('subscribe', `${channel}/1`);
    await client.command('subscribe', `${channel}/*`);
    await client.until(17);
    client.arrived.length = 0;
    const count = 300;
    await Promise.all(Array.from({ length: count }, (_, at) => post(`${channel}/${at % 3}`, String(at))));
    await client.until(count);
    const page = (await (
      await fetch(`${server.url}/channels/${channel}/*?since=last-${count}&limit=${count}`)
    ).json()) as { readonly messages: readonly { readonly cursor: string }[] };
    expect(client.arrived.map(({ cursor }) => cursor)).toEqual(page.messages.map(({ cursor }) => cursor));
  });

  it('comes back to where it was: nothing lost, nothing twice, also in a room where nothing had been said', async () => {
    const channel = fresh();
    const quiet = fresh();
    const client = await connect({ transports, reconnection: true });
    await client.command('subscribe', channel);
    await client.command('subscribe', quiet);
    const { id } = client.socket;
    for (let round = 0; round < 5; round += 1) {
      const back = new Promise<void>((resolve) => client.socket.once('connect', resolve));
      client.cut();
      await post(channel, `${round} while away`);
      await back;
      expect(client.socket.recovered).toBe(true);
      expect(client.socket.id).toBe(id);
      await post(channel, `${round} while here`);
    }
    await post(quiet, 'at last');
    await client.until(11);
    expect(client.arrived.map(({ data }) => data)).toEqual([
      ...Array.from(
        { length: 10 },
        (_, at) => `${Math.floor(at / 2)} while ${at % 2 === 0 ? 'away' : 'here'}`,
      ),
      'at last',
    ]);
  });

  it('does not take a string of a user for a cursor', async () => {
    const channel = fresh();
    const client = await connect({ transports, reconnection: true });
    await client.command('subscribe', channel);
    await post(channel, '"the last thing said"', 'application/json');
    await client.until(1);
    const back = new Promise<void>((resolve) => client.socket.once('connect', resolve));
    client.cut();
    await back;
    expect(client.socket.recovered).toBe(true);
    await post(channel, 'next');
    await client.until(2);
    expect(client.arrived.map(({ data }) => data)).toEqual(['the last thing said', 'next']);
  });
});

describe('the way from polling to WebSocket', () => {
  it(
    'loses, repeats and reorders nothing in the midst of 10,000 messages',
    { timeout: 300_000 },
    async () => {
      const channel = fresh();
      const count = 10_000;
      const publisher = await connect({ transports: ['websocket'] });
      interface Reader {
        readonly client: IoClient;
        readonly wires: Set<string>;
        readonly proxy: Proxy;
      }
      const begin = async (): Promise<Reader> => {
        // Polls carry some of the messages before the WebSocket is there.
        const proxy = await startProxy(server.url, () => client.until(20));
        const client = new IoClient(proxy.url, { transports: ['polling', 'websocket'] });
        clients.push(client);
        const wires = new Set<string>();
        client.socket.onAny(() => wires.add(client.wire));
        client.socket.once('connect', () => {
          void client.command('subscribe', channel, { since: 'earliest' });
        });
        return { client, wires, proxy };
      };
      const readers: Promise<Reader>[] = [];
      const published = (async () => {
        for (let at = 0; at < count; at += 100) {
          const some = Array.from({ length: 100 }, (_, index) => at + index);
          await Promise.all(some.map((value) => publisher.command('publish', channel, value)));
          // Readers come during the publishing, and are upgraded while they read.
          if (at % 1_000 === 0) readers.push(begin());
        }
      })();
      await published;
      const expected = Array.from({ length: count }, (_, at) => at);
      for (const { client, wires, proxy } of await Promise.all(readers)) {
        await client.until(count);
        expect(client.arrived.map(({ data }) => data)).toEqual(expected);
        expect(client.wire).toBe('websocket');
        expect([...wires]).toEqual(['polling', 'websocket']);
        proxy.stop();
      }
    },
  );
});

describe('recovery', () => {
  interface Connected {
    readonly sid: string;
    readonly pid: string;
  }
  const claims = async (
    auth: Readonly<Record<string, unknown>>,
  ): Promise<{ client: IoClient } & Connected> => {
    const client = await connect({ auth });
    return { client, sid: client.socket.id!, pid: client.pid! };
  };

  it('is refused without the right session id, or without a cursor: a new session begins', async () => {
    const channel = fresh();
    const { client, pid, sid } = await claims({});
    await client.command('subscribe', channel);
    const { cursor } = await post(channel, '1');
    await client.until(1);
    client.cut();
    for (const auth of [
      { pid: `${pid.slice(0, -1)}!`, offset: cursor },
      { pid: pid.slice(0, -2) + (pid.endsWith('A') ? 'BB' : 'AA'), offset: cursor },
      { pid, offset: 7 },
      { pid, offset: 'no cursor' },
      { pid, offset: cursor.slice(0, -1) },
      { pid: '__proto__', offset: cursor },
      { pid: 7, offset: cursor },
    ]) {
      const other = await claims(auth);
      expect(other.pid).not.toBe(pid);
      expect(other.sid).not.toBe(sid);
    }
    const back = await claims({ pid, offset: cursor });
    expect(back).toMatchObject({ pid, sid });
    await post(channel, '2');
    await back.client.until(1);
    expect(back.client.arrived.map(({ data }) => data)).toEqual(['2']);
  });

  it('is not offered over a gap, which gets a notice', async () => {
    const channel = `short/${fresh()}`;
    const { client, pid } = await claims({});
    await client.command('subscribe', channel);
    const { cursor } = await post(channel, '0');
    await client.until(1);
    client.cut();
    for (let at = 1; at <= 10; at += 1) await post(channel, String(at));
    const other = new IoClient(server.url, { auth: { pid, offset: cursor } });
    clients.push(other);
    const told = new Promise<unknown>((resolve) => other.socket.once('everywire.gap', resolve));
    await other.connected();
    expect(other.pid).not.toBe(pid);
    expect(await told).toMatchObject({ channel, from: 2, to: 6, reason: 'retention' });
  });

  it('ends when the client leaves on purpose', async () => {
    const channel = fresh();
    const { client, pid, sid } = await claims({});
    await client.command('subscribe', channel);
    client.socket.disconnect();
    const { cursor } = await post(channel, '1');
    const other = await claims({ pid, offset: cursor });
    expect(other.sid).not.toBe(sid);
  });

  it.each(ways)(
    'is exact when one filter starts earlier in the log than another, by $name',
    async ({ transports }) => {
      const [old, live] = [fresh(), fresh()];
      for (let at = 0; at < 200; at += 1) await post(old, `old ${at}`);
      for (const cutAfter of [0, 1, 2, 50, 199, 200, 201, 205]) {
        const client = await connect({ transports, reconnection: true });
        await client.command('subscribe', live);
        await post(live, `${cutAfter} live`);
        await client.until(1);
        const answered = client.command('subscribe', old, { since: 'earliest' });
        const counting = client.until(1 + cutAfter);
        const [{ ok }] = await Promise.all([answered, post(live, `${cutAfter} meanwhile`)]);
        expect(ok).toBe(true);
        await Promise.race([counting, client.until(202)]);
        const back = new Promise<void>((resolve) => client.socket.once('connect', resolve));
        client.cut();
        await post(live, `${cutAfter} away`);
        await back;
        expect(client.socket.recovered).toBe(true);
        await client.until(203);
        expect(client.arrived.map(({ data }) => data)).toEqual([
          `${cutAfter} live`,
          ...Array.from({ length: 200 }, (_, at) => `old ${at}`),
          `${cutAfter} meanwhile`,
          `${cutAfter} away`,
        ]);
        client.close();
      }
    },
  );
});
