import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { SignJWT } from 'jose';
import { connectAsync } from 'mqtt';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { TestAuthority } from './certificates.ts';
import { portOf, startSecureServer, type SecureServer } from './server.ts';

/** With authentication on, the server counts and holds connections before TLS; the later bytes must reach TLS complete. */
const secret = 'a-secret-of-a-test-that-is-long-enough';
let authority: TestAuthority;
let server: SecureServer;
let ca: string;
let token: string;

beforeAll(async () => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
  server = await startSecureServer(authority.issueForLoopback(), { auth: { jwt: { secret } } });
  token = await new SignJWT({ sub: 'alice', everywire: { subscribe: ['**'], publish: ['**'] } })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(Buffer.from(secret));
});
afterAll(async () => {
  await server.stop();
  authority.dispose();
});

it.each([false, true])('HTTPS, with HTTP/2: %s', async (allowH2) => {
  const dispatcher = new Agent({ connect: { ca }, allowH2 });
  const post = async (headers: Record<string, string>): Promise<number> => {
    const { statusCode, body } = await request(`${server.url}/channels/a`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain', ...headers },
      body: 'hello',
      dispatcher,
    });
    await body.dump();
    return statusCode;
  };
  expect(await post({})).toBe(401);
  expect(await post({ Authorization: `Bearer ${token}` })).toBe(201);
  await dispatcher.destroy();
});

it('WebSocket', async () => {
  const open = (headers: Record<string, string>): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${server.url.replace('https', 'wss')}/ws`, ['everywire.v1'], {
        ca,
        headers,
      });
      socket.once('open', () => {
        resolve('open');
        socket.terminate();
      });
      socket.once('error', ({ message }) => resolve(message));
    });
  expect(await open({})).toContain('401');
  expect(await open({ Authorization: `Bearer ${token}` })).toBe('open');
});

it('MQTT', async () => {
  const client = await connectAsync(server.mqtts, {
    ca,
    username: 'alice',
    password: token,
    protocolVersion: 5,
  });
  await client.publishAsync('a', 'hello', { qos: 1 });
  await client.endAsync();
});

it('STOMP', async () => {
  const socket = connectTls({ host: '127.0.0.1', port: portOf(server.stomps), ca });
  socket.write(`CONNECT\naccept-version:1.2\nhost:a\npasscode:${token}\n\n\0`);
  const told = await new Promise((resolve) =>
    socket.once('data', (bytes: Buffer) => resolve(bytes.toString())),
  );
  expect(told).toMatch(/^CONNECTED/);
  socket.destroy();
});

it('gRPC', async () => {
  const transport = createGrpcTransport({ baseUrl: `https://${server.grpc}`, nodeOptions: { ca } });
  const client = createClient(Messaging, transport);
  await expect(client.publish({ channel: 'a' })).rejects.toThrow(/unauthenticated/);
  const headers = { Authorization: `Bearer ${token}` };
  expect(await client.publish({ channel: 'a' }, { headers })).toMatchObject({ channel: 'a' });
});

it.each<[string, (few: SecureServer) => number]>([
  ['http', ({ url }) => portOf(url)],
  ['mqtts', ({ mqtts }) => portOf(mqtts)],
  ['stomps', ({ stomps }) => portOf(stomps)],
  ['grpc', ({ grpc }) => Number(grpc.split(':')[1])],
])('strangers are held to their number before TLS: %s', async (_name, portOn) => {
  const few = await startSecureServer(authority.issueForLoopback(), {
    auth: { jwt: { secret } },
    limits: { unauthenticatedMax: 1, unauthenticatedPerAddressMax: 1 },
  });
  try {
    const first = connectTcp(portOn(few), '127.0.0.1');
    await once(first, 'connect');
    // Half a handshake is a stranger as well.
    first.write(Buffer.from([0x16, 3, 1]));
    const second = connectTcp(portOn(few), '127.0.0.1');
    second.on('error', () => undefined).resume();
    await new Promise((resolve) => second.once('close', resolve));
    expect(first.destroyed).toBe(false);
    first.destroy();
  } finally {
    await few.stop();
  }
});
