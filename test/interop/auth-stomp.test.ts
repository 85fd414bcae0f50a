/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment, @typescript-eslint/no-misused-spread --
   the library declares plain options and headers as classes */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, type IMessage, type StompHeaders } from '@stomp/stompjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { debianPython, stompForPython } from '../../scripts/tools.ts';
import { Inbox } from '../drivers/inbox.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret, type MintedClaims } from '../support/tokens.ts';
import { describeWith } from './tool-suite.ts';

/** Tokens shown by clients of others, to a server as its configuration makes it. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ auth: { jwt: { secret: testSecret } } });
});
afterAll(() => server.stop());

const everything = { subscribe: ['**'], publish: ['**'] };
const token = (claims: MintedClaims) => mint(testSecret, claims);
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

async function post(path: string, body: string, type: string, claims: MintedClaims): Promise<number> {
  const answer = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${await token(claims)}`, 'Content-Type': type },
    body,
  });
  return answer.status;
}

const publish = async (channel: string, text: string): Promise<void> =>
  expect(await post(`/channels/${channel}`, text, 'text/plain', { sub: 'writer', ...everything })).toBe(201);

describe('@stomp/stompjs', () => {
  const clients: Client[] = [];
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.deactivate({ force: true })));
  });

  /** What happens to a client: that it is connected, errors by their codes, and that its socket is closed with a code. */
  function start(connectHeaders: StompHeaders, more: ConstructorParameters<typeof Client>[0] = {}) {
    const happened = new Inbox<string>();
    const client = new Client({
      webSocketFactory: () => new WebSocket(`${server.url.replace('http', 'ws')}/stomp`, ['v12.stomp']),
      reconnectDelay: 0,
      connectHeaders,
      onConnect: () => happened.push('connected'),
      onStompError: ({ headers }) => happened.push(headers['message']!),
      onWebSocketClose: ({ code }: { readonly code: number }) => happened.push(`closed ${code}`),
      ...more,
    });
    clients.push(client);
    client.activate();
    return { client, happened };
  }

  function follow(client: Client, destination: string, headers: StompHeaders = {}): Inbox<IMessage> {
    const inbox = new Inbox<IMessage>();
    client.subscribe(destination, (message) => inbox.push(message), headers);
    return inbox;
  }

  it('connects with a token, and gets an error for a command that the token does not allow', async () => {
    const bad = start({ login: 'ann', passcode: 'wrong' });
    expect([await bad.happened.next(), await bad.happened.next()]).toEqual(['unauthorized', 'closed 1008']);
    const claims = { sub: 'ann', subscribe: ['topic/js/**', '!topic/js/secret'], publish: ['topic/js/open'] };
    const { client, happened } = start({ login: 'ann', passcode: await token(claims) });
    expect(await happened.next()).toBe('connected');
    const inbox = follow(client, '/topic/js/*', { since: 'earliest' });
    await publish('topic/js/secret', 'no');
    client.publish({ destination: '/topic/js/open', body: 'yes' });
    expect((await inbox.next()).body).toBe('yes');
    client.publish({ destination: '/topic/js/other', body: 'no' });
    expect([await happened.next(), await happened.next()]).toEqual(['forbidden', 'closed 1008']);
  });

  it('receives the end of its token, reconnects by itself with the next one, and resumes', async () => {
    const claims = { sub: 'ann', ...everything };
    const headers = { 'client-id': 'js' };
    const shown = [await token({ ...claims, exp: inSeconds(2) }), await token(claims)];
    const { client, happened } = start(
      {},
      {
        reconnectDelay: 50,
        beforeConnect: (connecting) => {
          connecting.connectHeaders = { ...headers, passcode: shown.shift()! };
        },
      },
    );
    expect(await happened.next()).toBe('connected');
    const subscribe = { id: 'durable', durable: 'true', ack: 'client-individual' };
    const isSubscribed = new Promise<void>((resolve) => client.watchForReceipt('s', () => resolve()));
    const before = follow(client, '/topic/durable', { ...subscribe, receipt: 's' });
    await isSubscribed;
    for (const text of ['one', 'two']) await publish('topic/durable', text);
    (await before.next()).ack();
    expect([await happened.next(), await happened.next()]).toEqual(['unauthorized', 'closed 1008']);
    expect(await happened.next()).toBe('connected');
    const after = follow(client, '/topic/durable', subscribe);
    expect((await after.next()).body).toBe('two');
  });

  it('is cut off by a revocation', async () => {
    const { happened } = start({ passcode: await token({ sub: 'carl', ...everything }) });
    expect(await happened.next()).toBe('connected');
    const startedMs = performance.now();
    const body = JSON.stringify({ sub: 'carl' });
    expect(await post('/tokens/revoke', body, 'application/json', { sub: 'root', admin: true })).toBe(200);
    expect(await happened.next()).toBe('unauthorized');
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});

describeWith(stompForPython, 'stomp.py', () => {
  interface Told {
    readonly kind: 'connected' | 'message' | 'receipt' | 'error';
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }
  const program = fileURLToPath(new URL('./program/stomp_peer.py', import.meta.url));
  const children: ChildProcessWithoutNullStreams[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  function start(version: string, passcode: string) {
    const { port } = new URL(server.stomp!.replace('stomp', 'http'));
    const env = { ...process.env, STOMP_PASSCODE: passcode };
    const child = spawn(debianPython, [program, port, version], { env });
    children.push(child);
    const told = new Inbox<Told>();
    createInterface({ input: child.stdout }).on('line', (line) => told.push(JSON.parse(line) as Told));
    const call = (method: string, args: object): void =>
      void child.stdin.write(`${JSON.stringify([method, args])}\n`);
    return { told, call };
  }

  it.each(['1.0', '1.1', '1.2'])('%s: with a token, with none, and beyond its rights', async (version) => {
    const bad = start(version, 'wrong');
    expect((await bad.told.next()).headers['message']).toBe('unauthorized');
    const destination = `/topic/py/${version}`;
    const claims = { sub: 'ann', subscribe: ['topic/py/*'], publish: [`topic/py/${version}`] };
    const good = start(version, await token(claims));
    expect((await good.told.next()).kind).toBe('connected');
    good.call('subscribe', { destination, id: '1' });
    good.call('send', { destination, body: 'yes' });
    expect((await good.told.next()).body).toBe('yes');
    good.call('send', { destination: '/topic/else', body: 'no' });
    const refusal = await good.told.next();
    expect([refusal.kind, refusal.headers['message']]).toEqual(['error', 'forbidden']);
  });
});
