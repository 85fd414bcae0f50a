import { afterEach, describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/index.ts';
import { HandClock } from '../../auth/hand-clock.ts';
import { startTestServer, type TestServer } from './clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** Sessions end: by their time, by an administrator, or to make room for another. */

let server: TestServer;
afterEach(() => server.stop());

const most = 5;
const day = 24 * 3_600_000;
const will = {
  topic: 'wills/x',
  payload: Buffer.from('gone'),
  qos: 1,
  retain: false,
  properties: {},
} as const;

async function start(
  config: ConfigInput = {},
  parts: Parameters<typeof startTestServer>[1] = {},
): Promise<void> {
  server = await startTestServer({ store: 'memory:', limits: { sessionsMax: most }, ...config }, parts);
}

type Options = Parameters<typeof RawClient.connected>[1];

const kept = (clientId: string, options: Options = {}): Options => ({
  version: 4,
  clientId,
  cleanStart: false,
  ...options,
});

async function visit(clientId: string, options: Options = {}): Promise<boolean> {
  const { client, connack } = await RawClient.connected(server.mqtt!, kept(clientId, options));
  expect(connack.reasonCode).toBe(0);
  client.cut();
  await client.closed;
  return connack.sessionPresent;
}

interface Listed {
  readonly id: string;
  readonly client: string;
  readonly open: boolean;
  readonly expires?: string;
  readonly subscriptions: readonly string[];
}

async function list(query = ''): Promise<{ readonly sessions: readonly Listed[]; readonly next?: string }> {
  const response = await fetch(`${server.url}/admin/mqtt-sessions${query}`);
  expect(response.status).toBe(200);
  return (await response.json()) as { readonly sessions: readonly Listed[]; readonly next?: string };
}

describe('a session of a client that asked for no end', () => {
  test.each([
    { version: 4, properties: {} },
    { version: 5, properties: { sessionExpiryIntervalSeconds: 0xffff_ffff } },
  ] as const)('ends after a week, in MQTT version $version', async ({ version, properties }) => {
    const clock = new HandClock();
    await start({}, { clock });
    const { client, connack } = await RawClient.connected(server.mqtt!, kept('c', { version, properties }));
    const said = version === 5 ? 7 * 86_400 : undefined;
    expect(connack.properties.sessionExpiryIntervalSeconds).toBe(said);
    client.cut();
    await client.closed;
    await expect.poll(async () => (await list()).sessions[0]?.open).toBe(false);
    clock.pass(6 * day);
    expect(await visit('c', { version, properties })).toBe(true);
    await expect.poll(async () => (await list()).sessions[0]?.open).toBe(false);
    clock.pass(7 * day + 10_000);
    expect(await visit('c', { version, properties })).toBe(false);
  });
});

describe('at the bound', () => {
  test('the session that is away for longest makes room, and its will is published', async () => {
    await start();
    const { client: reader } = await RawClient.connected(server.mqtt!);
    await reader.subscribe('wills/#');
    await visit('0', {
      version: 5,
      will: { ...will, properties: { willDelayIntervalSeconds: 3_600 } },
      properties: { sessionExpiryIntervalSeconds: 7_200 },
    });
    for (let at = 1; at < most; at += 1) await visit(String(at));
    expect(await visit('1')).toBe(true);
    expect(await visit('new')).toBe(false);
    expect((await reader.next('publish')).payload.toString()).toBe('gone');
    expect((await list()).sessions.map(({ client }) => client).sort()).toEqual(['1', '2', '3', '4', 'new']);
    expect(await visit('newer')).toBe(false);
    expect(await visit('1')).toBe(true);
    reader.disconnect();
  });

  test('a client is refused while all sessions are open, unless it wants none', async () => {
    await start();
    const open: RawClient[] = [];
    for (let at = 0; at < most; at += 1)
      open.push((await RawClient.connected(server.mqtt!, kept(String(at)))).client);
    const { connack } = await RawClient.connected(
      server.mqtt!,
      kept('one more', { version: 5, properties: { sessionExpiryIntervalSeconds: 60 } }),
    );
    expect(connack.reasonCode).toBe(0x97);
    for (const version of [4, 5] as const) {
      for (const wanted of [undefined, will]) {
        for (const clientId of ['', 'named']) {
          const asked = { version, clientId, cleanStart: true, will: wanted };
          const { client, connack: answer } = await RawClient.connected(server.mqtt!, asked);
          expect(answer.reasonCode).toBe(0);
          client.disconnect();
          await client.closed;
        }
      }
    }
    for (const one of open) one.disconnect();
  });

  test('clients that keep a will only take no place', async () => {
    await start();
    const open: RawClient[] = [];
    for (let at = 0; at < 3 * most; at += 1)
      open.push((await RawClient.connected(server.mqtt!, { version: 4, clientId: `w${at}`, will })).client);
    for (let at = 0; at < most; at += 1) expect(await visit(String(at))).toBe(false);
    for (let at = 0; at < most; at += 1) expect(await visit(String(at))).toBe(true);
    for (const one of open) one.disconnect();
  });
});

describe('an administrator', () => {
  test('lists sessions page by page', async () => {
    await start();
    for (let at = 0; at < 3; at += 1) await visit(String(at));
    const { client } = await RawClient.connected(server.mqtt!, kept('here', { will }));
    await client.subscribe('a/#', { qos: 1 });
    const seen: Listed[] = [];
    for (let after = ''; ;) {
      const { sessions, next } = await list(`?limit=2${after}`);
      expect(sessions.length).toBeLessThanOrEqual(2);
      seen.push(...sessions);
      if (next === undefined) break;
      after = `&after=${next}`;
    }
    expect(seen.map((one) => one.client).sort()).toEqual(['0', '1', '2', 'here']);
    expect(seen.find((one) => one.client === 'here')).toMatchObject({
      open: true,
      subscriptions: ['a/#'],
      will: true,
    });
    expect(seen.find((one) => one.client === '0')).toMatchObject({
      open: false,
      expires: expect.any(String) as string,
    });
    client.disconnect();
  });

  test('ends a session, open or away: its client is disconnected, and its will is published', async () => {
    await start();
    const { client: reader } = await RawClient.connected(server.mqtt!);
    await reader.subscribe('wills/#');
    await visit('away', {
      version: 5,
      properties: { sessionExpiryIntervalSeconds: 600 },
      will: { ...will, properties: { willDelayIntervalSeconds: 600 } },
    });
    const { client } = await RawClient.connected(
      server.mqtt!,
      kept('open', { version: 5, will, properties: { sessionExpiryIntervalSeconds: 600 } }),
    );
    for (const { id } of (await list()).sessions) {
      const response = await fetch(`${server.url}/admin/mqtt-sessions/${id}`, { method: 'DELETE' });
      expect(response.status).toBe(204);
      const again = await fetch(`${server.url}/admin/mqtt-sessions/${id}`, { method: 'DELETE' });
      expect(again.status).toBe(404);
    }
    expect((await client.next('disconnect')).reasonCode).toBe(0x98);
    await client.closed;
    for (const name of ['away', 'open']) {
      expect((await reader.next('publish')).payload.toString()).toBe('gone');
      expect(await visit(name)).toBe(false);
    }
    reader.disconnect();
  });
});
