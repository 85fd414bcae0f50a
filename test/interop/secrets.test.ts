import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Probe } from '@everywire/probes';
import { parseTarget } from '../../packages/server/src/cli/target.ts';
import { encodePacket } from '@everywire/wires/mqtt';
import { endEverything, runEverywire, serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { findParts } from '../support/secret-parts.ts';
import { mint, testSecret } from '../support/tokens.ts';

/** For every kind of login and every result: no output of the server contains a part of the client's secret. */

const loginsMin = 1_000;
const atOnce = 16;
/** What begins with no CONNECT is closed without a word. */
const silent: ReadonlySet<string> = new Set(['mqtt malformed']);
let server: ServedEverywire;
beforeAll(async () => {
  server = await serveEverywire(['--log-level', 'debug'], { env: { EVERYWIRE_JWT_SECRET: testSecret } });
});
afterAll(async () => {
  await server.dispose();
  endEverything();
});

/** One login; resolves with everything that the server sent. */
type Login = (token: string) => Promise<string>;

const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

interface ByHttp {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function byHttp(path: string, init: ByHttp = {}): Login {
  return async (token) => {
    const stop = new AbortController();
    const response = await fetch(server.http + path, {
      ...init,
      headers: { ...init.headers, ...bearer(token) },
      signal: stop.signal,
    });
    const head = JSON.stringify(Object.fromEntries(response.headers));
    // The first chunk of an endless answer.
    const first = await response.body?.getReader().read();
    stop.abort();
    return head + Buffer.from(first?.value ?? []).toString();
  };
}

/** Writes, and listens until the other side has said something or has gone. */
function byTcp(url: string | undefined, bytes: (token: string) => Buffer): Login {
  return async (token) => {
    const { hostname, port } = new URL(url!);
    const socket = connect({ host: hostname, port: Number(port) });
    const said: Buffer[] = [];
    await new Promise<void>((resolve) => {
      socket.on('error', () => resolve());
      socket.on('close', () => resolve());
      socket.on('data', (chunk: Buffer) => {
        said.push(chunk);
        socket.end();
      });
      socket.write(bytes(token));
    });
    return Buffer.concat(said).toString('latin1');
  };
}

interface ByWebSocket {
  readonly path: string;
  readonly protocol?: string;
  readonly showsInHandshake?: boolean;
  /** What is sent, once it is open. */
  readonly sent?: (token: string) => readonly (string | Buffer)[];
}

function byWebSocket({ path, protocol, showsInHandshake = false, sent = () => [] }: ByWebSocket): Login {
  return async (token) => {
    const options = { headers: showsInHandshake ? bearer(token) : {} };
    const url = server.http.replace('http', 'ws') + path.replace('TOKEN', token);
    const socket = new WebSocket(url, protocol === undefined ? [] : [protocol], options);
    let said = '';
    await new Promise<void>((resolve) => {
      const frames = sent(token);
      let left = Math.max(1, frames.length);
      socket.on('open', () => {
        for (const frame of frames) socket.send(frame);
        if (frames.length === 0) socket.close();
      });
      socket.on('message', (data: Buffer) => {
        said += data.toString('latin1');
        if ((left -= 1) === 0) socket.close();
      });
      socket.on('unexpected-response', (_request, response) => {
        said += JSON.stringify(response.rawHeaders);
        response.on('data', (chunk: Buffer) => (said += chunk.toString()));
        response.on('end', () => resolve());
      });
      socket.on('error', () => undefined);
      socket.on('close', (code, reason) => {
        said += `${code} ${reason.toString()}`;
        resolve();
      });
    });
    return said;
  };
}

const stompConnect = (token: string): Buffer =>
  Buffer.from(`CONNECT\naccept-version:1.2\nhost:here\nlogin:\npasscode:${token}\n\n\0`);

function mqttConnect(version: 4 | 5, method?: string): (token: string) => Buffer {
  return (token) =>
    encodePacket(
      {
        type: 'connect',
        version,
        cleanStart: true,
        keepAliveSeconds: 60,
        clientId: '',
        will: undefined,
        userName: version === 4 ? '' : undefined,
        password: method === undefined ? Buffer.from(token) : undefined,
        properties:
          method === undefined
            ? {}
            : { authenticationMethod: method, authenticationData: Buffer.from(token) },
      },
      version,
    )!;
}

const byGrpc: Login = async (token) => {
  const probe = new Probe({ ...parseTarget(server.at('grpc', 'a')), token });
  try {
    return await probe.publish('in/a', { payload: Buffer.from('x'), type: 'text/plain' });
  } catch (error) {
    return `${(error as Error).message} ${JSON.stringify(error)}`;
  } finally {
    probe.close();
  }
};

function waysIn(): Readonly<Record<string, Login>> {
  const text = { method: 'POST', body: 'x', headers: { 'Content-Type': 'text/plain' } };
  const json = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
  const engine = '/socket.io/?EIO=4&transport=websocket';
  return {
    poll: byHttp('/channels/in/a'),
    publish: byHttp('/channels/in/a', text),
    'publish elsewhere': byHttp('/channels/out', text),
    list: byHttp('/channels?filter=in/*'),
    sse: byHttp('/channels/in/a?since=earliest', { headers: { Accept: 'text/event-stream' } }),
    stream: byHttp('/channels/in/a?since=earliest', { headers: { Accept: 'application/x-ndjson' } }),
    'ticket that is a token': async (token) =>
      (await fetch(`${server.http}/channels/in/a?ticket=${encodeURIComponent(token)}`)).text(),
    'token in the address': async (token) =>
      (await fetch(`${server.http}/channels/in/a?access_token=${encodeURIComponent(token)}`)).text(),
    revoke: byHttp('/tokens/revoke', { ...json, body: '{"sub":"unused"}' }),
    webhooks: byHttp('/webhooks'),
    connect: byHttp('/everywire.v1.Messaging/Publish', { ...json, body: '{"channel":"in/a","data":"eA=="}' }),
    websocket: byWebSocket({ path: '/ws', protocol: 'everywire.v1', showsInHandshake: true }),
    'websocket by ticket': byWebSocket({ path: '/ws?ticket=TOKEN', protocol: 'everywire.v1' }),
    'websocket auth': byWebSocket({
      path: '/ws',
      protocol: 'everywire.v1',
      showsInHandshake: true,
      sent: (token) => [
        JSON.stringify({ id: 1, op: 'auth', token: `${token}x` }),
        JSON.stringify({ id: 2, op: 'auth', token, [token]: token }),
        JSON.stringify({ id: 3, op: token }),
      ],
    }),
    'raw websocket': byWebSocket({ path: '/channels/in/a', showsInHandshake: true }),
    'socket.io': byWebSocket({ path: engine, sent: (token) => [`40${JSON.stringify({ token })}`, '3'] }),
    'socket.io malformed': byWebSocket({ path: engine, sent: (token) => [`40{"token":"${token}`, '3'] }),
    stomp: byTcp(server.stomp, stompConnect),
    'stomp malformed': byTcp(server.stomp, (token) => Buffer.from(`${token}\n${token}:${token}\n\n\0`)),
    'stomp+ws': byWebSocket({
      path: '/stomp',
      protocol: 'v12.stomp',
      sent: (token) => [stompConnect(token)],
    }),
    'mqtt 3.1.1': byTcp(server.mqtt, mqttConnect(4)),
    'mqtt 5': byTcp(server.mqtt, mqttConnect(5)),
    'mqtt 5 jwt': byTcp(server.mqtt, mqttConnect(5, 'jwt')),
    'mqtt malformed': byTcp(server.mqtt, (token) => Buffer.from(token)),
    'mqtt+ws': byWebSocket({ path: '/mqtt', protocol: 'mqtt', sent: (token) => [mqttConnect(5)(token)] }),
    grpc: byGrpc,
  };
}

async function mintAll(count: number): Promise<readonly string[]> {
  const now = Math.floor(Date.now() / 1_000);
  const rights = { subscribe: ['in/*'], publish: ['in/*'] };
  return Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const claims = { ...rights, sub: `subject-${at % 50}`, raw: { nonce: crypto.randomUUID() } };
      const good = await mint(testSecret, claims);
      switch (at % 7) {
        case 0:
          return mint(testSecret, { ...claims, exp: now - 1 });
        case 1:
          return mint('another secret that is long enough for it', claims);
        case 2:
          return `${good}.${good}`;
        case 3:
          return good.slice(0, -4);
        default:
          return good;
      }
    }),
  );
}

it('the search for parts of a token finds one', () => {
  const secret = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ';
  expect(findParts([secret], [`{"msg":"${secret.slice(8, 20)}"}`])).toEqual([secret.slice(8, 20)]);
  expect(findParts([secret], ['{"msg":"the token is wrong"}'])).toEqual([]);
});

it(`${loginsMin} logins by every way in leave nothing of a token in any output`, async () => {
  const ways = Object.entries(waysIn());
  const tokens = await mintAll(Math.ceil(loginsMin / ways.length) * ways.length);
  const outputs: string[] = [];
  const counts = new Map<string, number>();
  const queue = tokens.map((token, at) => ({ token, way: ways[at % ways.length]! }));
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const [name, login] = next.way;
        const said = await login(next.token);
        outputs.push(said);
        counts.set(name, (counts.get(name) ?? 0) + (said === '' ? 0 : 1));
      }
    }),
  );
  // Each way was answered, or the silence would have proved nothing.
  for (const [name] of ways.filter(([way]) => !silent.has(way)))
    expect({ name, answers: counts.get(name) }).toMatchObject({
      answers: expect.toSatisfy((count: number) => count > 10),
    });
  outputs.push(await (await fetch(`${server.http}/metrics`)).text());
  server.child.kill('SIGTERM');
  const { stdout, stderr } = await server.ended;
  outputs.push(stdout, stderr);
  expect(stdout + stderr).toContain('"level":"info"');
  expect(findParts([...tokens, testSecret], outputs)).toEqual([]);
}, 120_000);

describe('secrets of the configuration', () => {
  const env = {
    EVERYWIRE_JWT_SECRET: testSecret,
    EVERYWIRE_STORE: 'redis://user:Correct-Horse-Battery@127.0.0.1:1/0',
  };
  const issuers = JSON.stringify([{ issuer: 'https://a.example', secret: testSecret }]);

  it.each([
    [['config', 'show'], env],
    [['config', 'show', '--json'], env],
    [['config', 'show'], { EVERYWIRE_AUTH__ISSUERS: issuers }],
    [['config', 'show', '--json'], { EVERYWIRE_AUTH__ISSUERS: issuers }],
    [['config', 'check'], { EVERYWIRE_AUTH__ISSUERS: issuers.replace('"secret"', '"secrte"') }],
    [['config', 'check'], { EVERYWIRE_JWT_SECRET: 'Correct-Horse-Battery' }],
    [['config', 'check', '--jwt-secret', testSecret], { EVERYWIRE_AUTH__JWT__PUBLIC_KEY: testSecret }],
    [['serve', '--jwt-secret', 'Correct-Horse-Battery'], {}],
    [['doctor'], env],
    [['serve', '--port', '0'], env],
    [['config', 'show'], { EVERYWIRE_STORE: 'redis://:Correct-Horse/Battery@Staple@127.0.0.1/0' }],
  ])('%j shows none of them', async (args, variables) => {
    const { stdout, stderr } = await runEverywire(args, { env: variables }).ended;
    expect(stdout + stderr).not.toBe('');
    const secrets = [testSecret, 'Correct-Horse-Battery', 'Correct-Horse/Battery@Staple'];
    expect(findParts(secrets, [stdout, stderr])).toEqual([]);
  });
});
