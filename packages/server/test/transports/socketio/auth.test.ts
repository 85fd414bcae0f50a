import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataOf, Poller } from '../../../../../test/interop/socketio-poller.ts';
import { AuthServer, inSeconds, reachesWithinMs, tokenOf } from '../auth-server.ts';

const patience = { timeout: 60_000, interval: 10 };

interface Answer {
  readonly ok: boolean;
  readonly error?: { readonly code: string };
}

interface ConnectError extends Error {
  readonly data?: { readonly code: string };
}

/** A client of `socket.io-client`, and what it heard. */
class Client {
  readonly socket: Socket;
  readonly heard: unknown[] = [];
  readonly news: { readonly event: string; readonly about: unknown; readonly code: string | undefined }[] =
    [];
  readonly ends: string[] = [];

  constructor(url: string, options: Partial<ManagerOptions & SocketOptions>) {
    this.socket = io(url, { forceNew: true, reconnection: false, ...options });
    this.socket.on('message', (data: unknown) => this.heard.push(data));
    this.socket.on('disconnect', (reason) => this.ends.push(reason));
    this.socket.onAny((event: string, first: unknown, second: unknown) => {
      if (!event.startsWith('everywire.')) return;
      const error = (event === 'everywire.error' ? first : second) as { readonly code: string } | null;
      this.news.push({ event, about: first, code: error?.code });
    });
  }

  /** Resolves with `undefined` when it is in, and with the refusal otherwise. */
  connected(): Promise<ConnectError | undefined> {
    return new Promise((resolve) => {
      this.socket.once('connect', () => resolve(undefined));
      this.socket.once('connect_error', resolve);
    });
  }

  ask(...args: readonly [string, ...unknown[]]): Promise<Answer> {
    return this.socket.emitWithAck(...args) as Promise<Answer>;
  }

  async ended(): Promise<void> {
    await expect.poll(() => this.ends.length, patience).toBe(1);
  }
}

let server: AuthServer;
let clients: Client[];

beforeEach(async () => {
  clients = [];
  server = await AuthServer.start();
});
afterEach(async () => {
  for (const { socket } of clients) socket.disconnect();
  await server.stop();
});

async function refused(client: Client): Promise<string | undefined> {
  const error = await client.connected();
  return error?.data?.code;
}

describe.each(['websocket', 'polling'])('by %s', (transport) => {
  function open(auth: object | undefined, more: Partial<ManagerOptions & SocketOptions> = {}): Client {
    const client = new Client(server.url, {
      transports: [transport],
      ...(auth === undefined ? {} : { auth: auth }),
      ...more,
    });
    clients.push(client);
    return client;
  }

  async function enter(auth: object, more: Partial<ManagerOptions & SocketOptions> = {}): Promise<Client> {
    const client = open(auth, more);
    expect(await client.connected()).toBeUndefined();
    return client;
  }

  it('admits by a token, and names the publisher', async () => {
    const client = await enter({ token: await tokenOf('ann') });
    expect(await client.ask('subscribe', 'a')).toMatchObject({ ok: true });
    const from = new Promise((resolve) => {
      client.socket.once('message', (_data, meta: { readonly from?: string }) => resolve(meta.from));
    });
    expect(await client.ask('publish', 'a', 1)).toMatchObject({ ok: true });
    expect(await from).toBe('ann');
  });

  it.each([
    ['nothing', undefined],
    ['an invalid token', { token: 'abc' }],
    ['a token that is no text', { token: { toString: 'x' } }],
    ['a ticket that is no text', { ticket: ['x'] }],
    ['a token of another key', 'forged'],
    ['a token that has ended', 'expired'],
  ])('admits no client with %s', async (_, auth) => {
    const shown =
      auth === 'expired'
        ? { token: await tokenOf('ann', { exp: inSeconds(-1) }) }
        : auth === 'forged'
          ? { token: `${(await tokenOf('ann')).slice(0, -4)}AAAA` }
          : (auth as object | undefined);
    expect(await refused(open(shown))).toBe('unauthorized');
  });

  it('allows the rights of the token, also within a wildcard, live and from the log', async () => {
    const token = await tokenOf('ann', { subscribe: ['**', '!secret/**'], publish: ['own/{sub}/*'] });
    for (const channel of ['open', 'secret/a', 'open']) await server.publish(channel, channel);
    const client = await enter({ token });
    expect(await client.ask('subscribe', 'secret/a')).toMatchObject({
      ok: false,
      error: { code: 'forbidden' },
    });
    expect(await client.ask('subscribe', '$share/g/secret/*')).toMatchObject({
      error: { code: 'forbidden' },
    });
    expect(await client.ask('subscribe', '**', { since: 'earliest' })).toMatchObject({ ok: true });
    expect(await client.ask('publish', 'open', 1)).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(await client.ask('publish', 'own/ann/a', 'mine')).toMatchObject({ ok: true });
    for (const channel of ['secret/a', 'secret/b', 'last']) await server.publish(channel, channel);
    await expect.poll(() => client.heard.at(-1), patience).toBe('last');
    expect(client.heard).toEqual(['open', 'open', 'mine', 'last']);
  });

  it('ends when the token does, says why, and recovers with another one', async () => {
    const auth = { token: await tokenOf('ann', { exp: inSeconds(1.5) }) };
    const client = await enter(auth);
    await client.ask('subscribe', 'a');
    await server.publish('a', 'before');
    await expect.poll(() => client.heard, patience).toEqual(['before']);
    await client.ended();
    // A client does not come back by itself from that, which would be in vain.
    expect(client.ends).toEqual(['io server disconnect']);
    expect(client.news).toMatchObject([{ event: 'everywire.error', code: 'unauthorized' }]);
    await server.publish('a', 'meanwhile');
    auth.token = await tokenOf('ann');
    client.socket.connect();
    expect(await client.connected()).toBeUndefined();
    expect(client.socket.recovered).toBe(true);
    await expect.poll(() => client.heard, patience).toEqual(['before', 'meanwhile']);
  });

  it('continues with a new token, but only one of the same subject', async () => {
    const client = await enter({ token: await tokenOf('ann', { exp: inSeconds(1.5) }) });
    await client.ask('subscribe', 'a');
    expect(await client.ask('auth', await tokenOf('bob'))).toMatchObject({ error: { code: 'forbidden' } });
    expect(await client.ask('auth', 'abc')).toMatchObject({ error: { code: 'unauthorized' } });
    expect(await client.ask('auth', { tocen: 1 })).toMatchObject({ error: { code: 'invalid' } });
    expect(await client.ask('auth', { token: await tokenOf('ann', { exp: inSeconds(60) }) })).toEqual({
      ok: true,
    });
    const short = await enter({ token: await tokenOf('bob', { exp: inSeconds(1.5) }) });
    await short.ended();
    await server.publish('a', 'still here');
    await expect.poll(() => client.heard, patience).toEqual(['still here']);
    expect(client.ends).toEqual([]);
  });

  it('tells which filter a new token takes away, and continues with the others', async () => {
    const client = await enter({ token: await tokenOf('ann') });
    await client.ask('subscribe', 'a');
    await client.ask('subscribe', 'b');
    await client.ask('subscribe', '$share/g/a');
    const narrow = await tokenOf('ann', { subscribe: ['b'] });
    expect(await client.ask('auth', narrow)).toEqual({ ok: true });
    await expect.poll(() => client.news.length, patience).toBe(2);
    expect(client.news).toMatchObject([
      { event: 'everywire.ended', about: { channel: 'a' }, code: 'forbidden' },
      { event: 'everywire.ended', about: { channel: '$share/g/a' }, code: 'forbidden' },
    ]);
    for (const channel of ['a', 'b']) await server.publish(channel, channel);
    await expect.poll(() => client.heard, patience).toEqual(['b']);
  });

  it('ends at once for a subject that is revoked, and for no other', async () => {
    const [ann, bob] = [
      await enter({ token: await tokenOf('ann') }),
      await enter({ token: await tokenOf('bob') }),
    ];
    for (const client of [ann, bob]) await client.ask('subscribe', 'a');
    const revokedAtMs = performance.now();
    await server.revoke({ sub: 'ann' });
    await ann.ended();
    expect(performance.now() - revokedAtMs).toBeLessThan(reachesWithinMs);
    expect(ann.news).toMatchObject([{ event: 'everywire.error', code: 'unauthorized' }]);
    await server.publish('a', 'later');
    await expect.poll(() => bob.heard, patience).toEqual(['later']);
    expect(ann.heard).toEqual([]);
    ann.socket.connect();
    expect(await refused(ann)).toBe('unauthorized');
  });

  it('takes a ticket once, in the address or with the CONNECT', async () => {
    const ticket = async () =>
      ((await (await server.ask('POST', '/tickets')).json()) as { ticket: string }).ticket;
    const inAddress = await ticket();
    const first = await enter({}, { query: { ticket: inAddress } });
    expect(await first.ask('subscribe', 'a')).toMatchObject({ ok: true });
    // The credentials of the handshake count for all namespaces.
    const chat = first.socket.io.socket('/chat');
    await new Promise((resolve) => chat.once('connect', () => resolve(undefined)));
    expect(await refused(open({}, { query: { ticket: inAddress } }))).toBe('unauthorized');
    const withConnect = await ticket();
    await enter({ ticket: withConnect });
    expect(await refused(open({ ticket: withConnect }))).toBe('unauthorized');
    await enter({ token: await ticket() });
    // A token in the address would be in every log on the way.
    expect(await refused(open({}, { query: { token: await tokenOf('ann') } }))).toBe('unauthorized');
  });

  it('takes the token of a header, as other requests do', async () => {
    await enter({}, { extraHeaders: { authorization: `Bearer ${await tokenOf('ann')}` } });
  });

  it('ends one namespace with its token, and leaves the others', async () => {
    const long = await enter({ token: await tokenOf('ann') });
    const short = long.socket.io.socket('/chat', {
      auth: { token: await tokenOf('ann', { exp: inSeconds(1.5) }) },
    });
    await new Promise((resolve) => short.once('connect', () => resolve(undefined)));
    await long.ask('subscribe', 'a');
    expect(await new Promise((resolve) => short.once('disconnect', resolve))).toBe('io server disconnect');
    await server.publish('a', 'on');
    await expect.poll(() => long.heard, patience).toEqual(['on']);
  });

  it('gives no client the session of another', async () => {
    const ann = await enter({ token: await tokenOf('ann') });
    await ann.ask('subscribe', 'private/ann');
    const { _pid: pid } = ann.socket as unknown as { readonly _pid: string };
    const bob = await enter({ token: await tokenOf('bob', { subscribe: ['private/bob'] }), pid });
    expect(bob.socket.recovered).toBe(false);
    expect((bob.socket as unknown as { readonly _pid: string })._pid).not.toBe(pid);
    await server.publish('private/ann', 'for ann');
    await expect.poll(() => ann.heard, patience).toEqual(['for ann']);
    expect(bob.heard).toEqual([]);
  });

  it('comes back to what a narrower token allows, and gets a notice about the rest', async () => {
    const auth = { token: await tokenOf('ann') };
    const client = await enter(auth);
    for (const channel of ['a', 'b', '$share/g/a']) await client.ask('subscribe', channel);
    await server.publish('b', 'first');
    await expect.poll(() => client.heard, patience).toEqual(['first']);
    client.socket.io.engine.close();
    await client.ended();
    for (const channel of ['a', 'b']) await server.publish(channel, channel);
    auth.token = await tokenOf('ann', { subscribe: ['b'] });
    client.socket.connect();
    expect(await client.connected()).toBeUndefined();
    expect(client.socket.recovered).toBe(true);
    await expect.poll(() => client.heard, patience).toEqual(['first', 'b']);
    for (const channel of ['a', '$share/g/a']) {
      expect(client.news).toContainEqual({ event: 'everywire.ended', about: { channel }, code: 'forbidden' });
    }
    expect(client.news).toHaveLength(2);
  });
});

describe('a polling client', () => {
  it('is given nothing that it had not fetched when it was revoked', async () => {
    const poller = await Poller.connect(server.url, { token: await tokenOf('ann') });
    const ack = await poller.emit('subscribe', 'a');
    expect((await poller.poll()).some((packet) => packet.startsWith(ack))).toBe(true);
    const witness = new Client(server.url, {
      auth: { token: await tokenOf('bob') },
      transports: ['websocket'],
    });
    clients.push(witness);
    await witness.connected();
    await witness.ask('subscribe', 'a');
    await server.publish('a', 'too late');
    await expect.poll(() => witness.heard, patience).toEqual(['too late']);
    await server.revoke({ sub: 'ann' });
    const packets = await poller.poll();
    expect(dataOf(packets)).not.toContain('too late');
    const [error, goodbye] = packets;
    expect(error).toMatch(/^42\["everywire.error",\{"code":"unauthorized"/);
    expect(goodbye).toBe('41');
  });
});

describe('polling clients', () => {
  it('are no strangers, though their connections show nothing but the id of a session', async () => {
    const crowded = await AuthServer.start({ limits: { unauthenticatedPerAddressMax: 3 } });
    try {
      const crowd: Client[] = [];
      for (let at = 0; at < 8; at += 1) {
        const auth = { token: await tokenOf(`user-${at}`) };
        const client = new Client(crowded.url, { auth, transports: ['polling'] });
        crowd.push(client);
        clients.push(client);
        expect(await client.connected()).toBeUndefined();
        expect(await client.ask('subscribe', 'a')).toMatchObject({ ok: true });
      }
      await crowded.publish('a', 'for all');
      for (const { heard } of crowd) await expect.poll(() => heard, patience).toEqual(['for all']);
    } finally {
      for (const { socket } of clients) socket.disconnect();
      await crowded.stop();
    }
  });
});

describe('a session that polls, after a restart', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'everywire-auth-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('continues with the rights that it had, and not when they have ended', async () => {
    const store = `lmdb:${folder}`;
    let durable = await AuthServer.start({ store });
    const shortEnds = inSeconds(2);
    const tokens = {
      good: await tokenOf('ann', { subscribe: ['**', '!secret/**'] }),
      short: await tokenOf('bob', { exp: shortEnds }),
      revoked: await tokenOf('cid'),
    };
    const pollers = new Map<string, Poller>();
    for (const [name, token] of Object.entries(tokens)) {
      const poller = await Poller.connect(durable.url, { token });
      const ack = await poller.emit('subscribe', '**');
      expect((await poller.poll()).some((packet) => packet.startsWith(ack))).toBe(true);
      pollers.set(name, poller);
    }
    const port = new URL(durable.url).port;
    await durable.stop();
    durable = await AuthServer.start({ store, http: { port: Number(port) } });
    try {
      await durable.revoke({ sub: 'cid' });
      for (const channel of ['secret/a', 'open']) await durable.publish(channel, channel);
      expect(dataOf(await pollers.get('good')!.poll())).toEqual(['open']);
      await expect(pollers.get('revoked')!.poll()).rejects.toThrow('Session ID unknown');
      await expect.poll(() => Date.now() / 1_000, patience).toBeGreaterThan(shortEnds);
      await expect(pollers.get('short')!.poll()).rejects.toThrow('Session ID unknown');
    } finally {
      await durable.stop();
    }
  });
});

describe('a client without a token', () => {
  let strict: AuthServer;
  beforeEach(async () => {
    strict = await AuthServer.start({ limits: { handshakeTimeoutMs: 500 } });
  });
  afterEach(() => strict.stop());

  it('is closed in time, for any other input', async () => {
    const socket = new WebSocket(`${strict.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const heard: string[] = [];
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    socket.onmessage = ({ data }) => {
      heard.push(data as string);
      // One refusal later it has shown as little as before.
      if (heard.length === 1) socket.send('40{"token":"abc"}');
    };
    const beganMs = performance.now();
    expect(await closed).toBe(1008);
    expect(performance.now() - beganMs).toBeLessThan(reachesWithinMs);
    expect(heard[1]).toMatch(/^44\{.*"unauthorized"/);
  });

  it('may not try one token after the other', async () => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const heard: string[] = [];
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    socket.onmessage = ({ data }) => {
      heard.push(data as string);
      socket.send('40{"token":"abc"}');
    };
    expect(await closed).toBe(1008);
    expect(heard.filter((packet) => packet.startsWith('44'))).toHaveLength(10);
  });

  it('may send 16 KiB', async () => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    socket.onmessage = () => socket.send(`40{"token":"${'a'.repeat(17_000)}"}`);
    expect(await closed).toBe(1009);
    const poller = new Poller(server.url);
    const { body } = await poller.request('GET', '');
    poller.sid = (JSON.parse(body.slice(1)) as { readonly sid: string }).sid;
    const posted = await poller.request('POST', `&sid=${poller.sid}`, `40{"token":"${'a'.repeat(17_000)}"}`);
    expect(posted.status).toBe(413);
  });
});
