import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/index.ts';
import { startTestServer } from '../../../../../test/support/server.ts';
import { adminToken, AuthServer, inSeconds, reachesWithinMs, tokenOf } from '../auth-server.ts';
import { Receiver } from './receiver.ts';

const patience = { timeout: 60_000, interval: 20 };
const stops: (() => Promise<void>)[] = [];

interface View {
  readonly id: string;
  readonly state: string;
  readonly pausedBecause: string | null;
  readonly expires: string | null;
  readonly lastError: string | null;
  readonly lag: number | null;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: View & {
    readonly code?: string;
    readonly secret?: string;
    readonly webhooks?: readonly View[];
  };
  readonly challenge: string | null;
}

let server: AuthServer;
let receiver: Receiver;

async function serve(config: ConfigInput = {}): Promise<AuthServer> {
  const started = await AuthServer.start(config);
  stops.push(() => started.stop());
  return started;
}

beforeEach(async () => {
  server = await serve();
  receiver = await Receiver.start();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await receiver.stop();
});

async function request(
  method: string,
  path: string,
  { token, body, url = server.url }: { token?: string | undefined; body?: object; url?: string } = {},
): Promise<Answer> {
  const answer = await fetch(`${url}/webhooks${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    text,
    json: (text === '' ? {} : JSON.parse(text)) as Answer['json'],
    challenge: answer.headers.get('www-authenticate'),
  };
}

async function register(token: string, filter: string, more: object = {}): Promise<string> {
  const body = { url: receiver.url, filter, ...more };
  const answer = await request('POST', '', { token, body });
  expect(answer.status, answer.text).toBe(201);
  return answer.json.id;
}

async function show(id: string, token?: string): Promise<View> {
  return (await request('GET', `/${id}`, { token: token ?? (await adminToken()) })).json;
}

const paused = async (id: string) => (await show(id)).state;

function delivered(): unknown[] {
  return receiver.hooks.map(({ body }) => (JSON.parse(body) as { readonly data: unknown }).data);
}

async function publish(...channels: readonly string[]): Promise<void> {
  for (const channel of channels) await server.publish(channel, channel);
}

describe('the resource', () => {
  test.each([
    ['POST', '', { url: 'http://127.0.0.1:9/', filter: 'a' }],
    ['GET', '', undefined],
    ['GET', '/wh_1', undefined],
    ['PATCH', '/wh_1', { paused: true }],
    ['POST', '/wh_1/rewind', { since: 'earliest' }],
    ['POST', '/wh_1/test', undefined],
    ['DELETE', '/wh_1', undefined],
  ])('%s /webhooks%s needs a token', async (method, path, body) => {
    const more = body === undefined ? {} : { body };
    expect(await request(method, path, more)).toMatchObject({ status: 401, challenge: 'Bearer' });
    expect(await request(method, path, { ...more, token: 'abc' })).toMatchObject({
      status: 401,
      challenge: 'Bearer error="invalid_token"',
      json: { code: 'unauthorized' },
    });
  });

  test('registers only filters that the token may read, and calls no receiver before', async () => {
    const token = await tokenOf('ann', { subscribe: ['a/**'] });
    const body = { url: receiver.url, filter: '**' };
    expect((await request('POST', '', { token, body })).status).toBe(403);
    expect(receiver.hooks).toEqual([]);
    await register(token, 'a/*');
  });

  test('shows to each their own, to administrators all, and to none a secret or a token', async () => {
    const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')];
    const answer = await request('POST', '', { token: ann, body: { url: receiver.url, filter: 'a' } });
    const { id, secret } = answer.json;
    await register(bob, 'a');
    const list = async (token: string) => {
      const { text, json } = await request('GET', '', { token });
      for (const hidden of [secret!, ann, bob, ann.split('.')[2]!]) expect(text).not.toContain(hidden);
      return json.webhooks!.length;
    };
    expect([await list(ann), await list(bob), await list(await adminToken())]).toEqual([1, 1, 2]);
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { paused: true }],
      ['POST', '/rewind', { since: 'earliest' }],
      ['POST', '/test', undefined],
      ['DELETE', '', undefined],
    ] as const) {
      const more = body === undefined ? {} : { body };
      expect((await request(method, `/${id}${path}`, { token: bob, ...more })).status).toBe(404);
    }
    expect((await request('DELETE', `/${id}`, { token: await adminToken() })).status).toBe(204);
  });

  test('has room for so many of one subject', async () => {
    const small = await serve({ limits: { webhooksMax: 1, webhooksInAllMax: 2 } });
    const create = async (sub: string) => {
      const body = { url: receiver.url, filter: 'a' };
      const { status, json } = await request('POST', '', { token: await tokenOf(sub), body, url: small.url });
      return json.code ?? status;
    };
    expect(await create('ann')).toBe(201);
    expect(await create('ann')).toBe('quota_exceeded');
    expect(await create('bob')).toBe(201);
    expect(await create('cid')).toBe('quota_exceeded');
  });
});

describe('a webhook', () => {
  test('gets the messages that its token may read, also within a wildcard, live and from the log', async () => {
    await publish('open', 'secret/a');
    await register(await tokenOf('ann', { subscribe: ['**', '!secret/**'] }), '**', { since: 'earliest' });
    await publish('secret/b', 'last');
    await expect.poll(delivered, patience).toEqual(['open', 'last']);
  });

  test('is paused when its token ends, and resumes exactly where it was', async () => {
    const id = await register(await tokenOf('ann', { exp: inSeconds(1.5) }), 'a');
    expect((await show(id)).expires).toMatch(/^\d{4}-.*Z$/);
    await publish('a');
    await receiver.received(1);
    await expect.poll(() => paused(id), patience).toBe('paused');
    expect(await show(id)).toMatchObject({
      state: 'paused',
      pausedBecause: 'unauthorized',
      lastError: 'The token has expired.',
    });
    for (const text of ['one', 'two', 'three']) await server.publish('a', text);
    const narrow = await tokenOf('ann', { subscribe: ['b'] });
    const resume = { body: { paused: false } };
    expect((await request('PATCH', `/${id}`, { token: narrow, ...resume })).status).toBe(403);
    expect(await show(id, narrow)).toMatchObject({ state: 'paused', lag: null });
    expect(await show(id)).toMatchObject({ state: 'paused', lag: 3 });
    expect(delivered()).toEqual(['a']);
    const answer = await request('PATCH', `/${id}`, { token: await tokenOf('ann'), ...resume });
    expect(answer.json).toMatchObject({ pausedBecause: null, lastError: null });
    await expect.poll(delivered, patience).toEqual(['a', 'one', 'two', 'three']);
  });

  test('is kept going by a new token before the old one ends', async () => {
    const id = await register(await tokenOf('ann', { exp: inSeconds(1.5) }), 'a');
    const doomed = await register(await tokenOf('bob', { exp: inSeconds(1.5) }), 'b');
    await publish('a');
    const token = await tokenOf('ann');
    expect((await request('PATCH', `/${id}`, { token, body: { paused: false } })).status).toBe(200);
    await expect.poll(() => paused(doomed), patience).toBe('paused');
    await server.publish('a', 'still');
    await expect.poll(delivered, patience).toEqual(['a', 'still']);
  });

  test('stops when its subject is revoked, until a later token resumes it', async () => {
    const id = await register(await tokenOf('ann'), 'a');
    const other = await register(await tokenOf('bob'), 'b');
    await publish('a');
    await receiver.received(1);
    const revokedAtMs = performance.now();
    await server.revoke({ sub: 'ann' });
    await expect.poll(() => paused(id), patience).toBe('paused');
    expect(performance.now() - revokedAtMs).toBeLessThan(reachesWithinMs);
    expect(await show(id)).toMatchObject({
      pausedBecause: 'unauthorized',
      lastError: 'The token was revoked.',
    });
    await server.publish('a', 'meanwhile');
    await publish('b');
    await receiver.received(2);
    expect(delivered()).toEqual(['a', 'b']);
    expect(await paused(other)).toBe('active');
    // Tokens of the second of the revocation are revoked with it.
    await expect
      .poll(async () => {
        const token = await tokenOf('ann');
        return (await request('PATCH', `/${id}`, { token, body: { state: 'active' } })).status;
      }, patience)
      .toBe(200);
    await expect.poll(delivered, patience).toEqual(['a', 'b', 'meanwhile']);
  });

  test('of an administrator outlives the token, until that is revoked', async () => {
    const id = await register(await tokenOf('root', { admin: true, exp: inSeconds(1.5) }), 'a');
    const doomed = await register(await tokenOf('bob', { exp: inSeconds(1.5) }), 'b');
    expect((await show(id)).expires).toBeNull();
    await expect.poll(() => paused(doomed), patience).toBe('paused');
    await publish('a');
    await receiver.received(1);
    await server.revoke({ sub: 'root' });
    await expect.poll(() => paused(id), patience).toBe('paused');
  });

  test('that an administrator resumed is not sent elsewhere by its owner with fewer rights', async () => {
    const id = await register(await tokenOf('ann'), 'a');
    const admin = await adminToken();
    await request('PATCH', `/${id}`, { token: admin, body: { paused: true } });
    expect((await request('PATCH', `/${id}`, { token: admin, body: { paused: false } })).status).toBe(200);
    const narrow = await tokenOf('ann', { subscribe: ['b'] });
    const elsewhere = { url: `${receiver.url}/elsewhere` };
    expect((await request('PATCH', `/${id}`, { token: narrow, body: elsewhere })).status).toBe(403);
    expect((await request('PATCH', `/${id}`, { token: narrow, body: { paused: true } })).status).toBe(200);
  });
});

describe('after a restart', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'everywire-webhook-auth-'));
    stops.push(() => rm(folder, { recursive: true }));
  });

  test('webhooks continue by their tokens, and those whose token has ended are paused', async () => {
    const store = `lmdb:${folder}`;
    const shortEnds = inSeconds(1.5);
    server = await AuthServer.start({ store });
    const good = await register(await tokenOf('ann', { subscribe: ['**', '!secret/**'] }), '**');
    const short = await register(await tokenOf('bob', { exp: shortEnds }), 'b');
    await server.stop();
    await expect.poll(() => Date.now() / 1_000, patience).toBeGreaterThan(shortEnds);
    server = await serve({ store });
    expect(await show(short)).toMatchObject({ state: 'paused', pausedBecause: 'unauthorized' });
    await publish('secret/a', 'b');
    await expect.poll(delivered, patience).toEqual(['b']);
    expect(await paused(good)).toBe('active');
  });

  test('those of before there were tokens wait for an administrator', async () => {
    const store = `lmdb:${folder}`;
    const open = await startTestServer({ store });
    const made = await request('POST', '', { url: open.url, body: { url: receiver.url, filter: 'a' } });
    const { id } = made.json;
    await open.stop();
    server = await serve({ store });
    expect(await show(id)).toMatchObject({ state: 'paused', pausedBecause: 'unauthorized' });
    await publish('a');
    expect((await request('GET', `/${id}`, { token: await tokenOf('ann') })).status).toBe(404);
    const resumed = await request('PATCH', `/${id}`, {
      token: await adminToken(),
      body: { state: 'active' },
    });
    expect(resumed.status).toBe(200);
    await expect.poll(delivered, patience).toEqual(['a']);
  });
});
