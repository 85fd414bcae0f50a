import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import {
  ask,
  healthClient,
  Listening,
  messagingClient,
  StreamClient,
  type HealthClient,
  type MessagingClient,
} from '../../../../../test/clients/grpc/client.ts';
import { GrpcServer } from './server.ts';

const clients: (MessagingClient | HealthClient)[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

function clientOf(server: GrpcServer): MessagingClient {
  const client = messagingClient(server.address);
  clients.push(client);
  return client;
}

describe('a page', () => {
  test('ends with the newest message, and says that its bytes left out older ones', async () => {
    const server = await GrpcServer.start();
    const client = clientOf(server);
    const data = Buffer.alloc(50_000);
    for (let at = 0; at < 40; at += 1) await ask(client, 'publish', { channel: 'large', data });
    const page = (await ask(client, 'read', { channel: 'large' })) as unknown as ReadPage;
    const offsets = page.messages!.map(({ offset }) => Number(offset));
    expect(offsets).toEqual(Array.from({ length: offsets.length }, (_, at) => 41 - offsets.length + at));
    expect(page.more).toBe(true);
    const last = (await ask(client, 'read', { channel: 'large', after: page.cursor })) as unknown as ReadPage;
    expect(last.messages ?? []).toEqual([]);
    expect(last.more ?? false).toBe(false);
    await server.stop();
  });
});

interface ReadPage {
  /** Absent when empty, like every default value of proto3 here. */
  readonly messages?: readonly { readonly offset: string }[];
  readonly cursor: string;
  readonly more?: boolean;
}

describe('a server that stops', () => {
  test('says goaway and UNAVAILABLE on every call, NOT_SERVING to a watching client, and is soon done', async () => {
    const server = await GrpcServer.start();
    const client = clientOf(server);
    const health = healthClient(server.address);
    clients.push(health);
    const follower = new Listening(client.subscribe({ channels: ['a'] }));
    await follower.first(({ kind }) => kind === 'subscribed');
    const stream = new StreamClient(client);
    await stream.ask({ subscribe: { channel: 'a' } });
    expect(await ask(health, 'check', {})).toEqual({ status: 'SERVING' });
    const watcher = new Listening(health.watch({ service: 'everywire.v1.Messaging' }));
    await watcher.first((one) => one.status === 'SERVING');

    server.hub.beginDrain();
    const deadline = new AbortController();
    await server.transport.drain(deadline.signal);

    for (const call of [follower, stream]) {
      const error = await call.ended();
      expect(error).toMatchObject({ code: status.UNAVAILABLE, details: 'The server is shutting down.' });
      expect(error!.metadata.get('grpc-status-details-bin').toString()).toContain('GOING_AWAY');
      expect(call.responses.at(-1)).toMatchObject({ kind: 'goaway' });
    }
    expect(await watcher.ended()).toMatchObject({ code: status.UNAVAILABLE });
    expect(watcher.responses.at(-1)).toEqual({ status: 'NOT_SERVING' });
    await expect(ask(client, 'publish', { channel: 'a' })).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    await server.settled();
    await server.stop();
  });

  test('cuts a peer that takes nothing when its time is over', async () => {
    const server = await GrpcServer.start();
    const stream = new StreamClient(clientOf(server));
    await stream.ask({ subscribe: { channel: 'slow' } });
    stream.call.pause();
    for (let at = 0; at < 100; at += 1)
      await Promise.all(Array.from({ length: 20 }, () => server.publish('slow', 'x'.repeat(2_000))));
    await expect.poll(() => server.unsentBytes(), { timeout: 60_000, interval: 10 }).toBeGreaterThan(0);
    await server.transport.drain(AbortSignal.timeout(100));
    stream.cancel();
    await server.stop();
  });

  test('is not waited for by a health check of what it does not know', async () => {
    const server = await GrpcServer.start();
    const health = healthClient(server.address);
    clients.push(health);
    await expect(ask(health, 'check', { service: 'other' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
    });
    const watcher = new Listening(health.watch({ service: 'other' }));
    expect(await watcher.first(() => true)).toEqual({ status: 'SERVICE_UNKNOWN' });
    watcher.cancel();
    await server.stop();
  });
});

describe('a port that is taken', () => {
  test('is a warning when it is the default, and an error that names it when it was asked for', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const server = await GrpcServer.start({ port, isDefaultPort: true });
    expect(server.address).toBe('');
    expect(server.warnings).toEqual([
      `grpc: port ${port} is taken, so this listener is off; --grpc-port chooses another`,
    ]);
    await server.stop();
    await expect(GrpcServer.start({ port })).rejects.toThrow(
      `grpc: port ${port} on 127.0.0.1 is taken; choose another with --grpc-port, 0 for any, or -1 for none.`,
    );
    other.close();
  });

  test('-1 is no port', async () => {
    const server = await GrpcServer.start({ port: -1 });
    expect(server.transport.endpoints).toHaveLength(1);
    await server.stop();
  });
});

test('calls that name no deadline have one until their request is there', async () => {
  const server = await GrpcServer.start({ limits: { grpcRequestTimeoutMs: 100 } });
  const client = clientOf(server);
  const follower = new Listening(client.subscribe({ channels: ['a'] }));
  await follower.first(({ kind }) => kind === 'subscribed');
  const silent = new Listening(client.stream({ deadline: Date.now() + 300 }));
  expect(await silent.ended()).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  // By now the time of the one that follows would have been over too.
  await server.publish('a', 'x');
  await follower.first(({ kind }) => kind === 'message');
  follower.cancel();
  await server.stop();
});
