import { Agent, request as httpRequest } from 'node:http';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { messagingClient } from '../../clients/grpc/client.ts';
import { RawClient as MqttClient } from '../../clients/mqtt/raw-client.ts';
import { StompClient } from '../../clients/stomp/client.ts';
import { textFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient as WebSocketClient } from '../../clients/websocket/raw-client.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret } from '../../support/tokens.ts';

/** The answer of each protocol to a subject with too many connections, and to one that is too fast. */
const publishesBurstMax = 2;
const connectionsPerSubjectMax = 2;

let server: TestServer;
let port: number;
let subjects = 0;
let token: string;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startTestServer({
    store: 'memory:',
    auth: { jwt: { secret: testSecret } },
    limits: { publishesPerSecondMax: 1, publishesBurstMax, connectionsPerSubjectMax },
  });
  port = Number(new URL(server.url).port);
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});
afterAll(() => server.stop());

interface HttpAnswer {
  readonly status: number;
  readonly code: string | undefined;
  readonly retryAfter: string | undefined;
}

/** A client that keeps its one connection. */
function httpClient(): (path: string) => Promise<HttpAnswer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  closing.push(() => agent.destroy());
  return (path) =>
    new Promise((resolve, reject) => {
      const sent = httpRequest(
        `${server.url}${path}`,
        {
          agent,
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const body = JSON.parse(Buffer.concat(chunks).toString()) as { readonly code?: string };
            resolve({
              status: response.statusCode!,
              code: body.code,
              retryAfter: response.headers['retry-after'],
            });
          });
        },
      );
      sent.on('error', reject);
      sent.end('x');
    });
}

async function webSocket(path: string): Promise<WebSocketClient> {
  const client = await WebSocketClient.open(port, path, [
    `Authorization: Bearer ${token}`,
    ...(path === '/ws' ? ['Sec-WebSocket-Protocol: everywire.v1'] : []),
  ]);
  closing.push(() => client.destroy());
  return client;
}

async function mqtt(version: 4 | 5): Promise<{ readonly client: MqttClient; readonly reason: number }> {
  const client = await MqttClient.open(server.mqtt!, version);
  closing.push(() => client.cut());
  const { reasonCode } = await client.connect({
    password: Buffer.from(token),
    userName: `subject ${subjects}`,
  });
  return { client, reason: reasonCode };
}

async function stomp(): Promise<StompClient> {
  const client = await StompClient.open(server.stomp!);
  closing.push(() => client.cut());
  client.send('CONNECT', { 'accept-version': '1.2', host: 'x', passcode: token });
  return client;
}

function ioSocket(): ReturnType<typeof io> {
  const socket = io(server.url, {
    transports: ['websocket'],
    auth: { token },
    forceNew: true,
    reconnection: false,
  });
  closing.push(() => socket.disconnect());
  return socket;
}

function grpc(): (channel: string) => Promise<ServiceError | undefined> {
  const client = messagingClient(server.grpc!);
  closing.push(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return (channel) =>
    new Promise((resolve) => {
      client.publish({ channel, data: Buffer.from('x') }, metadata, {}, (error) =>
        resolve(error ?? undefined),
      );
    });
}

async function freshSubject(): Promise<void> {
  subjects += 1;
  token = await mint(testSecret, { sub: `subject ${subjects}`, subscribe: ['**'], publish: ['**'] });
}

describe('a subject that has all the connections it may', () => {
  beforeAll(async () => {
    await freshSubject();
  });

  const others: (() => unknown)[] = [];
  beforeAll(async () => {
    for (let at = 0; at < connectionsPerSubjectMax; at += 1) {
      const client = await WebSocketClient.open(port, '/channels/a', [`Authorization: Bearer ${token}`]);
      expect(client.status).toBe(101);
      others.push(() => client.destroy());
    }
  });
  afterAll(() => {
    for (const close of others) close();
  });

  it('gets 403 quota_exceeded by HTTP', async () => {
    expect(await httpClient()('/channels/a')).toMatchObject({ status: 403, code: 'quota_exceeded' });
  });

  it.each(['/ws', '/channels/a'])('gets 403 in place of a WebSocket at %s', async (path) => {
    const client = await webSocket(path);
    await client.until(() => client.body.includes('}'));
    expect([client.status, client.body.toString()]).toEqual([403, expect.stringContaining('quota_exceeded')]);
  });

  it('gets connect_error by Socket.IO', async () => {
    const error = await new Promise<Error & { readonly data?: { readonly code?: string } }>((resolve) => {
      ioSocket().once('connect_error', resolve);
    });
    expect(error.data?.code ?? error.message).toContain('quota_exceeded');
  });

  it.each([
    { version: 5, told: 0x97 },
    // Its code 3, as this client reads it.
    { version: 4, told: 0x88 },
  ] as const)('gets CONNACK $told by MQTT $version', async ({ version, told }) => {
    expect((await mqtt(version)).reason).toBe(told);
  });

  it('gets ERROR by STOMP', async () => {
    expect((await (await stomp()).error()).headers['message']).toBe('quota_exceeded');
  });

  it('gets RESOURCE_EXHAUSTED by gRPC', async () => {
    expect(await grpc()('a')).toMatchObject({ code: 8 });
  });
});

describe('a peer that publishes faster than it may', () => {
  it('gets 429 and the time to wait by HTTP, over all the requests of its connection', async () => {
    await freshSubject();
    const publish = httpClient();
    const answers = [];
    for (let at = 0; at <= publishesBurstMax; at += 1) answers.push(await publish('/channels/a'));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 429]);
    expect(answers.at(-1)).toEqual({ status: 429, code: 'rate_limited', retryAfter: '1' });
  });

  it('gets the refused command and the time to wait by everywire.v1', async () => {
    await freshSubject();
    const client = await webSocket('/ws');
    for (let at = 0; at <= publishesBurstMax; at += 1)
      client.write(textFrame(JSON.stringify({ op: 'publish', id: String(at), channel: 'a', data: 1 })));
    await client.until(() => client.texts.filter((text) => text.includes('"id"')).length > publishesBurstMax);
    const refused = client.texts
      .map((text) => JSON.parse(text) as Record<string, unknown>)
      .find(({ ok }) => ok === false);
    expect(refused).toMatchObject({
      id: String(publishesBurstMax),
      error: { code: 'rate_limited', retryAfterMs: expect.any(Number) as number },
    });
    expect(client.closeCode).toBeUndefined();
  });

  it('is read more slowly where a WebSocket carries nothing but messages', async () => {
    await freshSubject();
    const client = await webSocket('/channels/a?format=envelope');
    for (let at = 0; at < publishesBurstMax + 2; at += 1) client.write(textFrame(`slow ${at}`));
    await client.until(() => client.texts.some((text) => text.includes(`slow ${publishesBurstMax + 1}`)));
    expect(client.closeCode).toBeUndefined();
  });

  it('gets the error in the answer by Socket.IO', async () => {
    await freshSubject();
    const socket = ioSocket();
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
    });
    const answers = [];
    for (let at = 0; at <= publishesBurstMax; at += 1)
      answers.push(
        await new Promise<Record<string, unknown>>((resolve) => {
          socket.emit('publish', 'a', 'x', resolve);
        }),
      );
    expect(answers.at(-1)).toMatchObject({
      ok: false,
      error: { code: 'rate_limited', retryAfterMs: expect.any(Number) as number },
    });
  });

  it('gets PUBACK 0x97 by MQTT 5', async () => {
    await freshSubject();
    const { client } = await mqtt(5);
    const codes = [];
    for (let at = 0; at <= publishesBurstMax; at += 1) {
      const packetId = client.publish('a', 'x', { qos: 1 });
      await client.until(() =>
        client.packets.some((packet) => packet.type === 'puback' && packet.packetId === packetId),
      );
      codes.push(client.packets.find((packet) => packet.type === 'puback' && packet.packetId === packetId));
    }
    expect(codes.at(-1)).toMatchObject({ reasonCode: 0x97 });
    expect(client.isClosed).toBe(false);
  });

  it('is read more slowly by STOMP, whose refusals end the connection', async () => {
    await freshSubject();
    const client = await stomp();
    await client.next();
    for (let at = 0; at < publishesBurstMax + 2; at += 1)
      client.send('SEND', { destination: 'a', receipt: String(at) }, 'x');
    for (let at = 0; at < publishesBurstMax + 2; at += 1)
      expect(await client.next()).toMatchObject({
        command: 'RECEIPT',
        headers: { 'receipt-id': String(at) },
      });
  });

  it('gets RESOURCE_EXHAUSTED and the time to wait by gRPC, over all the calls of its connection', async () => {
    await freshSubject();
    const publish = grpc();
    const errors = [];
    for (let at = 0; at <= publishesBurstMax; at += 1) errors.push(await publish('a'));
    expect(errors.map((error) => error?.code)).toEqual([undefined, undefined, 8]);
    const details = errors.at(-1)!.metadata.get('grpc-status-details-bin')[0] as Buffer;
    expect(details.toString('latin1')).toContain('google.rpc.RetryInfo');
  });
});

it('refusals are counted', async () => {
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)![1]);
  expect(figure('everywire_rate_limited_total')).toBeGreaterThanOrEqual(5);
  expect(figure('everywire_unauthenticated_connections')).toBeGreaterThanOrEqual(1);
  expect(figure('everywire_waiting_connections')).toBe(0);
  expect(figure('everywire_refused_connections_total')).toBe(0);
});
