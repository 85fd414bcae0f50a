import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, createServer, type ConfigInput } from '../src/index.ts';

const quiet: ConfigInput = {
  store: 'memory:',
  http: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
  grpc: { port: 0 },
  log: { level: 'silent' },
};

test('starts, serves, and stops', async () => {
  const server = createServer(quiet);
  const { http, endpoints } = await server.start();
  expect(http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const names = new Set(endpoints.map(({ transport }) => transport));
  for (const name of ['poll', 'longpoll', 'stream', 'sse', 'websocket', 'stomp'])
    expect(names).toContain(name);
  const published = await fetch(`${http}/channels/a`, { method: 'POST', body: 'hello' });
  expect(published.status).toBe(201);
  expect((await fetch(`${http}/readyz`)).status).toBe(200);
  await server.stop();
  await expect(fetch(`${http}/readyz`)).rejects.toThrow();
  // What was stopped stays stopped.
  await server.stop();
});

test('two servers in one process share nothing', async () => {
  const [left, right] = [createServer(quiet), createServer(quiet)];
  const [{ http: leftUrl }, { http: rightUrl }] = [await left.start(), await right.start()];
  await fetch(`${leftUrl}/channels/a`, { method: 'POST', body: 'hello' });
  const read = async (url: string): Promise<unknown> => (await fetch(`${url}/channels/a`)).json();
  expect(await read(leftUrl)).toMatchObject({ messages: [{ data: 'hello' }] });
  expect(await read(rightUrl)).toMatchObject({ messages: [] });
  await left.stop();
  expect((await fetch(`${rightUrl}/livez`)).status).toBe(200);
  await right.stop();
});

test('a transport that is turned off is not served', async () => {
  const server = createServer({ ...quiet, transports: { sse: false } });
  const { http, endpoints } = await server.start();
  expect(endpoints.some(({ transport }) => transport === 'sse')).toBe(false);
  const answer = await fetch(`${http}/channels/a`, { headers: { Accept: 'text/event-stream' } });
  expect(answer.status).toBe(406);
  await server.stop();
});

test('namespaces and retention of the configuration hold', async () => {
  const namespaces = { 'short/**': { retention: { count: 2 } } };
  const server = createServer({ ...quiet, namespaces, retention: { count: 4 } });
  const { http } = await server.start();
  for (const channel of ['short/a', 'long']) {
    for (const data of ['1', '2', '3', '4', '5']) {
      await fetch(`${http}/channels/${channel}`, { method: 'POST', body: data });
    }
  }
  const offsets = async (channel: string): Promise<readonly number[]> => {
    const answer = await fetch(`${http}/channels/${channel}?since=earliest`);
    const page = (await answer.json()) as { readonly messages: readonly { readonly offset: number }[] };
    return page.messages.map(({ offset }) => offset);
  };
  expect(await offsets('short/a')).toEqual([4, 5]);
  expect(await offsets('long')).toEqual([2, 3, 4, 5]);
  await server.stop();
});

test('a start that fails leaves nothing open: the store can be opened again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'everywire-server-'));
  const taken = createTcpServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const durable: ConfigInput = { ...quiet, store: `lmdb:${folder}` };
  await expect(createServer({ ...durable, http: { port } }).start()).rejects.toThrow(String(port));
  await new Promise((resolve) => taken.close(resolve));
  const server = createServer(durable);
  await server.start();
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('a configuration that cannot be used is refused before anything is opened', () => {
  expect(() => createServer({ http: { host: '0.0.0.0' } })).toThrow(ConfigError);
  expect(() => createServer({ auth: { jwt: { secret: 'hunter2' } } })).toThrow(/at least 32/);
});
