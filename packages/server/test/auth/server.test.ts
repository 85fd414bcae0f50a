import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../../test/support/server.ts';
import { mint, testSecret, type MintedClaims } from '../../../../test/support/tokens.ts';
import type { ServerParts } from '../../src/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';

/** The machine's clock, and what the test adds to it. */
let aheadMs = 0;
const clock: NonNullable<ServerParts['clock']> = {
  nowMs: () => systemClock.nowMs() + aheadMs,
  monotonicMs: () => systemClock.monotonicMs() + aheadMs,
  after: systemClock.after.bind(systemClock),
  turn: systemClock.turn.bind(systemClock),
};

let folder: string;
let server: TestServer;

async function restart(): Promise<void> {
  await server.stop();
  await start();
}

async function start(): Promise<void> {
  server = await startTestServer(
    { store: `lmdb:${folder}`, auth: { jwt: { secret: testSecret } } },
    { clock },
  );
}

beforeEach(async () => {
  aheadMs = 0;
  folder = await mkdtemp(join(tmpdir(), 'everywire-auth-'));
  await start();
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const secondsNow = (): number => Math.floor(clock.nowMs() / 1_000);
const annsClaims: MintedClaims = { sub: 'ann', subscribe: ['a/**', '!a/secret'], publish: ['a/*'] };
const token = (claims: MintedClaims): Promise<string> =>
  mint(testSecret, { iat: secondsNow(), exp: secondsNow() + 600, ...claims });

async function status(path: string, shown: string | undefined, body?: string | object): Promise<number> {
  const response = await ask(path, shown, body);
  await response.body?.cancel();
  return response.status;
}

function ask(path: string, shown: string | undefined, body?: string | object): Promise<Response> {
  const type = typeof body === 'object' ? 'application/json' : 'text/plain';
  return fetch(server.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Content-Type': type, ...(shown === undefined ? {} : { Authorization: `Bearer ${shown}` }) },
    body: typeof body === 'object' ? JSON.stringify(body) : (body ?? null),
  });
}

describe('a server that was given a secret', () => {
  it('admits no client without a token, and each as far as its rules go', async () => {
    const ann = await token(annsClaims);
    expect(await status('/channels/a/b', undefined, 'x')).toBe(401);
    expect(await status('/channels/a/b', `${ann}x`, 'x')).toBe(401);
    expect(await status('/channels/a/b', ann, 'x')).toBe(201);
    expect(await status('/channels/b', ann, 'x')).toBe(403);
    expect(await status('/channels/a/b', ann)).toBe(200);
    expect(await status('/channels/a/secret', ann)).toBe(403);
    expect(await status('/channels/**', ann)).toBe(403);
    expect(await status('/livez', undefined)).toBe(200);
  });

  it('remembers revocations through a restart', async () => {
    const [ann, bob] = [await token(annsClaims), await token({ ...annsClaims, sub: 'bob', jti: 'one' })];
    const other = await token({ ...annsClaims, sub: 'bob', jti: 'two' });
    const root = await token({ sub: 'root', admin: true });
    expect(await status('/tokens/revoke', ann, { sub: 'bob' })).toBe(403);
    expect(await status('/tokens/revoke', root, { sub: 'ann' })).toBe(200);
    expect(await status('/tokens/revoke', root, { jti: 'one' })).toBe(200);
    for (let life = 1; life <= 2; life += 1) {
      expect(await status('/channels/a/b', ann)).toBe(401);
      expect(await status('/channels/a/b', bob)).toBe(401);
      expect(await status('/channels/a/b', other)).toBe(200);
      await restart();
    }
    aheadMs = 1_000;
    expect(await status('/channels/a/b', ann)).toBe(401);
    expect(await status('/channels/a/b', await token(annsClaims))).toBe(200);
  });

  it('gives tickets, which are good once and for 30 s', async () => {
    const ann = await token(annsClaims);
    const ticket = async (): Promise<string> => {
      const response = await ask('/tickets', ann, '');
      expect(response.status).toBe(201);
      return ((await response.json()) as { readonly ticket: string }).ticket;
    };
    const [first, second, third] = [await ticket(), await ticket(), await ticket()];
    expect(await status(`/channels/a/b?ticket=${first}`, undefined)).toBe(200);
    expect(await status(`/channels/a/b?ticket=${first}`, undefined)).toBe(401);
    expect(await status('/channels/a/b', second)).toBe(200);
    aheadMs = 30_000;
    expect(await status(`/channels/a/b?ticket=${third}`, undefined)).toBe(401);
    expect(await status('/tickets', undefined, '')).toBe(401);
  });

  it('ends the connections of a token with the token', async () => {
    const ann = await token({ ...annsClaims, exp: secondsNow() + 600 });
    const waiting = status('/channels/a/b?wait=50s', ann);
    await expect.poll(subscriptionsOpen).toBe(1);
    aheadMs = 601_000;
    expect(await waiting).toBe(401);
  });
});

async function subscriptionsOpen(): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^everywire_subscriptions (\d+)$/m.exec(text)![1]);
}
