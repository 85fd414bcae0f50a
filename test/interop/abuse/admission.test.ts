import { Agent, request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openAccess } from '../../../packages/server/src/core/sessions/access.ts';
import { drivers } from '../../drivers/index.ts';
import { publishByPost } from '../../drivers/http.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret } from '../../support/tokens.ts';
import { TestAuthority } from '../tls/certificates.ts';
import { startSecureServer } from '../tls/server.ts';
import { dialTcp, listenersOf, login, type Dialled, type Listener } from './listeners.ts';

/** So many connections of an address may be there without having shown a token. */
const unauthenticatedPerAddressMax = 2;
const crowd = 5;

describe('connections whose peers have shown a token no longer count as unauthenticated', () => {
  let server: TestServer;
  beforeAll(async () => {
    // The drivers show no token, so this access admits every client. For the limits it is an access like any other.
    const access = { ...openAccess };
    server = await startTestServer(
      { store: 'memory:', limits: { unauthenticatedPerAddressMax } },
      { access },
    );
  });
  afterAll(() => server.stop());

  it.each(drivers.map((driver) => ({ name: driver.name, driver })))(
    `${crowd} readers by $name read at once where ${unauthenticatedPerAddressMax} strangers may`,
    async ({ name, driver }) => {
      const channel = `crowd/${name.replaceAll(/[^a-z0-9]/gi, '-')}`;
      const readers = [];
      for (let at = 0; at < crowd; at += 1) readers.push(await driver.read(server, channel));
      await publishByPost(server, channel, { payload: Buffer.from('to all'), type: 'text/plain' });
      const received = await Promise.all(readers.map((reader) => reader.next()));
      expect(received.map(({ payload }) => payload.toString())).toEqual(Array(crowd).fill('to all'));
      for (const reader of readers) reader.close();
    },
  );
});

describe.each(['in clear text', 'over TLS'])('%s', (how) => {
  const handshakeTimeoutMs = 800;
  const authority = new TestAuthority();
  const dialled: Dialled[] = [];
  let server: TestServer;
  let token: string;

  beforeAll(async () => {
    const config = {
      store: 'memory:',
      auth: { jwt: { secret: testSecret } },
      limits: { unauthenticatedPerAddressMax, handshakeTimeoutMs },
    };
    token = await mint(testSecret, { subscribe: ['**'] });
    server =
      how === 'over TLS'
        ? await startSecureServer(authority.issueForLoopback(), config)
        : await startTestServer(config);
  });
  afterEach(() => {
    for (const { socket } of dialled.splice(0)) socket.destroy();
  });
  afterAll(async () => {
    await server.stop();
    authority.dispose();
  });

  async function strangers(listener: Listener): Promise<readonly Dialled[]> {
    const crowded: Dialled[] = [];
    for (let at = 0; at < crowd; at += 1) crowded.push(await dialTcp(listener));
    dialled.push(...crowded);
    return crowded;
  }

  const secure = how === 'over TLS';
  const names = secure ? ['https', 'grpcs', 'mqtts', 'stomps'] : ['http', 'grpc', 'mqtt', 'stomp'];
  const listenerOf = (name: string): Listener =>
    listenersOf(server).find((listener) => listener.name === name)!;

  it.each(names)(
    `${crowd} silent strangers at %s wait for each other and are closed in time`,
    async (name) => {
      const fromMs = performance.now();
      const silent = await strangers(listenerOf(name));
      // Those ahead keep their place for as long as a handshake may take; one whose turn comes then has as long again.
      await Promise.all(silent.map(({ closed }) => closed));
      expect(performance.now() - fromMs).toBeLessThan(2 * handshakeTimeoutMs + 30_000);
    },
  );

  it.each(names)('a client that comes after them at %s gets in when one has gone', async (name) => {
    const listener = listenerOf(name);
    const silent = await strangers(listener);
    const good = login(listener, token);
    let isIn = false;
    void good.then(() => (isIn = true));
    const last = silent.at(-1)!;
    // Others wait before it, and so does it, until the one that is ahead of it is alone with another.
    for (const { socket, closed } of silent.slice(0, crowd - unauthenticatedPerAddressMax)) {
      expect(isIn).toBe(false);
      socket.destroy();
      await closed;
    }
    expect(last.isClosed).toBe(false);
    silent.at(-2)!.socket.destroy();
    dialled.push(await good);
    expect(last.isClosed).toBe(false);
  });

  it.each(names)('of ten good ones at %s none waits for long', async (name) => {
    const listener = listenerOf(name);
    const good = await Promise.all(Array.from({ length: 10 }, () => login(listener, token)));
    dialled.push(...good);
    expect(good.some(({ isClosed }) => isClosed)).toBe(false);
  });
});

describe("connections of the operator's own proxy", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({
      store: 'memory:',
      auth: { jwt: { secret: testSecret } },
      http: { trustedProxies: ['127.0.0.1'] },
      limits: {
        unauthenticatedPerAddressMax: 1,
        connectionsPerAddressMax: 1,
        publishesPerSecondMax: 1,
        publishesBurstMax: 1,
      },
    });
  });
  afterAll(() => server.stop());

  it('are not counted by address, nor the rates of those behind it by its connections', async () => {
    const [http] = listenersOf(server);
    const silent = await Promise.all([dialTcp(http!), dialTcp(http!), dialTcp(http!)]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const statuses: number[] = [];
    for (const sub of ['ann', 'bob', 'cid']) {
      const token = await mint(testSecret, { sub, publish: ['**'] });
      statuses.push(await post(`${server.url}/channels/a`, token, agent));
    }
    expect(statuses).toEqual([201, 201, 201]);
    agent.destroy();
    for (const { socket } of silent) socket.destroy();
  });
});

function post(url: string, token: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': '192.0.2.7' };
    const sent = request(url, { agent, method: 'POST', headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    sent.on('error', reject);
    sent.end('x');
  });
}
