import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RawClient as MqttClient } from '../../clients/mqtt/raw-client.ts';
import { StompClient } from '../../clients/stomp/client.ts';
import { textFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient as WebSocketClient } from '../../clients/websocket/raw-client.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret } from '../../support/tokens.ts';

/** Each kind of state that a client can make the server keep: up to a limit, then none, then again after some were removed. */
const most = 5;

let server: TestServer;
let token: string;
let admin: string;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startTestServer({
    auth: { jwt: { secret: testSecret } },
    limits: {
      channelsMax: most,
      retainedMax: most - 1,
      subscriptionsMax: most,
      groupsMax: most,
      sessionsMax: most,
      webhooksMax: most,
      ticketsPerSubjectMax: most,
      revocationsMax: most,
      ioNamespacesMax: most,
      stompDurablesMax: most,
      stompTransactionsMax: most,
    },
    webhooks: { allowTargets: ['127.0.0.1:9'], verify: false },
  });
  token = await mint(testSecret, { sub: 'eve', subscribe: ['**'], publish: ['**'] });
  admin = await mint(testSecret, { sub: 'root', admin: true });
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});
afterAll(() => server.stop());

async function ask(method: string, path: string, body?: unknown, as = token): Promise<Response> {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${as}`,
      ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}),
      ...(path.includes('/retained') ? { 'everywire-retain': 'true' } : {}),
    },
    ...(body === undefined
      ? {}
      : { body: typeof body === 'object' ? JSON.stringify(body) : (body as string) }),
  });
  return answer;
}

async function codeOf(answer: Response): Promise<string> {
  return answer.ok ? 'ok' : ((await answer.json()) as { readonly code: string }).code;
}

async function commands(): Promise<(command: object) => Promise<string>> {
  const client = await WebSocketClient.open(Number(new URL(server.url).port), '/ws', [
    `Authorization: Bearer ${token}`,
    'Sec-WebSocket-Protocol: everywire.v1',
  ]);
  closing.push(() => client.destroy());
  let id = 0;
  return async (command) => {
    const asked = String((id += 1));
    client.write(textFrame(JSON.stringify({ id: asked, ...command })));
    const find = (): Record<string, unknown> | undefined =>
      client.texts
        .map((text) => JSON.parse(text) as Record<string, unknown>)
        .find((told) => told['id'] === asked);
    await client.until(() => find() !== undefined);
    const told = find()!;
    return told['ok'] === true ? 'ok' : (told['error'] as { readonly code: string }).code;
  };
}

async function mqtt(
  clientId: string,
  sessionExpiryIntervalSeconds: number,
  cleanStart = false,
): Promise<number> {
  const client = await MqttClient.open(server.mqtt!);
  const { reasonCode } = await client.connect({
    clientId,
    cleanStart,
    password: Buffer.from(token),
    properties: { sessionExpiryIntervalSeconds },
  });
  client.send({ type: 'disconnect', reasonCode: 0, properties: {} });
  await client.closed;
  return reasonCode;
}

async function stomp(clientId = 'c'): Promise<StompClient> {
  const client = await StompClient.open(server.stomp!);
  closing.push(() => client.cut());
  await client.connect({ 'accept-version': '1.2', host: 'x', passcode: token, 'client-id': clientId });
  return client;
}

const oks = (count: number): string[] => Array.from({ length: count }, () => 'ok');

/** Does it once more than is allowed, each time with another number. */
async function fill<T>(make: (at: number) => Promise<T>): Promise<T[]> {
  const told: T[] = [];
  for (let at = 0; at <= most; at += 1) told.push(await make(at));
  return told;
}

describe('as many as are allowed, one more, and one again after one was given up:', () => {
  it('subscriptions of a connection', async () => {
    const command = await commands();
    const told = await fill((at) => command({ op: 'subscribe', channel: `s${at}` }));
    expect(told).toEqual([...oks(most), 'quota_exceeded']);
    expect(await command({ op: 'unsubscribe', channel: 's0' })).toBe('ok');
    expect(await command({ op: 'subscribe', channel: 's9' })).toBe('ok');
  });

  it('groups', async () => {
    const command = await commands();
    const other = await commands();
    const told = await fill((at) =>
      (at < most ? command : other)({ op: 'subscribe', channel: `$share/g${at}/s` }),
    );
    expect(told).toEqual([...oks(most), 'quota_exceeded']);
    expect(await command({ op: 'unsubscribe', channel: '$share/g0/s' })).toBe('ok');
    expect(await other({ op: 'subscribe', channel: '$share/g9/s' })).toBe('ok');
  });

  it('channels, and among them retained messages', async () => {
    const paths = Array.from(
      { length: most + 1 },
      (_, at) => `/channels/${at < most ? 'retained' : 'plain'}/${at}`,
    );
    const told: string[] = [];
    for (const path of paths) told.push(await codeOf(await ask('POST', path, 'x')));
    expect(told).toEqual([...oks(most - 1), 'quota_exceeded', 'ok']);
    expect(await codeOf(await ask('POST', '/channels/plain/more', 'x'))).toBe('quota_exceeded');
    expect((await ask('DELETE', paths[0]!, undefined, admin)).ok).toBe(true);
    expect(await codeOf(await ask('POST', '/channels/retained/again', 'x'))).toBe('ok');
    expect(await codeOf(await ask('POST', '/channels/plain/more', 'x'))).toBe('quota_exceeded');
  });

  it('MQTT sessions', async () => {
    const clients = async (): Promise<readonly string[]> => {
      const answer = await ask('GET', '/admin/mqtt-sessions', undefined, admin);
      const { sessions } = (await answer.json()) as { readonly sessions: readonly { client: string }[] };
      return sessions.map(({ client }) => client).sort();
    };
    // The session that is away for longest makes room.
    expect(await fill((at) => mqtt(`m${at}`, 3_600))).toEqual(Array<number>(most + 1).fill(0));
    await expect.poll(clients).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
    expect(await mqtt('m1', 0, true)).toBe(0);
    expect(await mqtt('m9', 3_600)).toBe(0);
    await expect.poll(clients).toEqual(['m2', 'm3', 'm4', 'm5', 'm9']);
    for (const id of await clients()) await mqtt(id, 0, true);
  });

  it('STOMP transactions of a connection', async () => {
    const client = await stomp();
    for (let at = 0; at < most; at += 1) client.send('BEGIN', { transaction: `t${at}` });
    client.send('ABORT', { transaction: 't0' });
    client.send('BEGIN', { transaction: 'again' });
    client.send('BEGIN', { transaction: 'more' });
    expect((await client.error()).headers['message']).toBe('quota_exceeded');
  });

  it('durable subscriptions of STOMP', async () => {
    const client = await stomp();
    const subscribe = async (at: number): Promise<string> => {
      const receipt = `r${at}`;
      client.send('SUBSCRIBE', { id: `d${at}`, destination: 'retained/1', durable: 'true', receipt });
      const { command, headers } = await client.next();
      return command === 'RECEIPT' ? 'ok' : headers['message']!;
    };
    for (let at = 0; at < most - 1; at += 1) expect(await subscribe(at)).toBe('ok');
    client.send('UNSUBSCRIBE', { id: 'd0', durable: 'true', receipt: 'u' });
    expect((await client.next()).command).toBe('RECEIPT');
    expect(await subscribe(7)).toBe('ok');
    const others = await stomp('other');
    const told = [];
    for (let at = 0; at < 2; at += 1) {
      others.send('SUBSCRIBE', {
        id: `o${at}`,
        destination: 'retained/1',
        durable: 'true',
        receipt: `o${at}`,
      });
      const { command, headers } = await others.next();
      told.push(command === 'RECEIPT' ? 'ok' : headers['message']);
    }
    expect(told).toEqual(['ok', 'quota_exceeded']);
  });

  it('webhooks', async () => {
    const ids: string[] = [];
    const told = await fill(async (at) => {
      const answer = await ask('POST', '/webhooks', { url: 'http://127.0.0.1:9/', filter: `w${at}` });
      if (!answer.ok) return codeOf(answer);
      ids.push(((await answer.json()) as { readonly id: string }).id);
      return 'ok';
    });
    expect(told).toEqual([...oks(most), 'quota_exceeded']);
    expect((await ask('DELETE', `/webhooks/${ids[0]!}`)).ok).toBe(true);
    expect(await codeOf(await ask('POST', '/webhooks', { url: 'http://127.0.0.1:9/', filter: 'w9' }))).toBe(
      'ok',
    );
  });

  it('tickets', async () => {
    const tickets: string[] = [];
    const told = await fill(async () => {
      const answer = await ask('POST', '/tickets', {});
      if (!answer.ok) return codeOf(answer);
      tickets.push(((await answer.json()) as { readonly ticket: string }).ticket);
      return 'ok';
    });
    expect(told).toEqual([...oks(most), 'rate_limited']);
    expect((await fetch(`${server.url}/channels/retained/1?ticket=${tickets[0]!}`)).status).toBe(200);
    expect(await codeOf(await ask('POST', '/tickets', {}))).toBe('ok');
  });

  it('namespaces of a Socket.IO connection', async () => {
    const first = io(server.url, { transports: ['websocket'], auth: { token }, reconnection: false });
    const sockets: Socket[] = [];
    closing.push(() => first.io.engine.close());
    const connected = (socket: Socket): Promise<string> =>
      new Promise((resolve) => {
        socket.once('connect', () => resolve('ok'));
        socket.once('connect_error', (error: Error & { readonly data?: { readonly code?: string } }) =>
          resolve(error.data?.code ?? error.message),
        );
      });
    const told = await fill((at) => {
      const socket = at === 0 ? first : first.io.socket(`/n${at}`, { auth: { token } });
      sockets.push(socket);
      return connected(socket);
      return connected(socket).then((x) => {
        console.log(at, x);
        return x;
      });
    });
    expect(told).toEqual([...oks(most), 'quota_exceeded']);
    sockets[1]!.disconnect();
    const again = first.io.socket('/again', { auth: { token } });
    expect(await connected(again)).toBe('ok');
  });

  it('revocations', async () => {
    const told = await fill(async (at) =>
      codeOf(await ask('POST', '/tokens/revoke', { jti: `j${at}` }, admin)),
    );
    expect(told).toEqual([...oks(most), 'quota_exceeded']);
  });
});

it('a will has the limits of a message', async () => {
  const client = await MqttClient.open(server.mqtt!);
  const { reasonCode } = await client.connect({
    password: Buffer.from(token),
    will: {
      topic: 'retained/1',
      payload: Buffer.alloc(15_000),
      qos: 0,
      retain: false,
      properties: {},
    },
  });
  // The client has no identity before its CONNECT, so the CONNECT may have at most 16 KiB.
  expect(reasonCode).toBe(0);
  client.cut();
});
