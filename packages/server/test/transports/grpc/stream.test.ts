import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { HeldStore } from '../../core/held-store.ts';
import {
  ask,
  Listening,
  messagingClient,
  StreamClient,
  type MessagingClient,
} from '../../../../../test/clients/grpc/client.ts';
import { GrpcServer } from './server.ts';

let server: GrpcServer;
let client: MessagingClient;
beforeEach(async () => {
  server = await GrpcServer.start();
  client = messagingClient(server.address);
});
afterEach(async () => {
  client.close();
  await server.stop();
});

const subscribe = (channel: string, more: object = {}) => ({ subscribe: { channel, ...more } });
const publish = (channel: string, data: string, more: object = {}) => ({
  publish: { channel, data: Buffer.from(data), type: 'text/plain', ...more },
});

describe('Stream', () => {
  test('carries several subscriptions, told apart by their ids', async () => {
    const stream = new StreamClient(client);
    expect(await stream.ask(subscribe('a'))).toMatchObject({
      id: '1',
      kind: 'subscribed',
      subscribed: { exact: true },
    });
    expect(await stream.ask(subscribe('b/**'))).toMatchObject({ id: '2', kind: 'subscribed' });
    expect(await stream.ask(subscribe('b/x'), '18446744073709551615')).toMatchObject({ kind: 'subscribed' });
    for (const channel of ['a', 'b/x', 'b/y', 'c']) await server.publish(channel, channel);
    await stream.until(() => stream.responses.filter(({ kind }) => kind === 'message').length === 4);
    expect(stream.payloads('1')).toEqual(['a']);
    expect(stream.payloads('2')).toEqual(['b/x', 'b/y']);
    expect(stream.payloads('18446744073709551615')).toEqual(['b/x']);
    stream.cancel();
  });

  test('answers publishes and refusals by id', async () => {
    const stream = new StreamClient(client);
    const first = await stream.ask(publish('a', 'x', { key: 'k' }));
    expect(first).toMatchObject({ id: '1', kind: 'published', published: { offset: '1' } });
    expect(await stream.ask(publish('a', 'x', { key: 'k' }))).toMatchObject({
      id: '2',
      published: { offset: '1', cursor: first.published!.cursor, duplicate: true },
    });
    expect(await stream.ask(publish('a', 'other', { key: 'k' }))).toMatchObject({
      refused: { code: 'conflict' },
    });
    expect(await stream.ask(publish('$x', 'x'))).toMatchObject({ id: '4', refused: { code: 'bad_name' } });
    expect(await stream.ask(publish('a', 'x'.repeat(defaultLimits.payloadBytesMax + 1)))).toMatchObject({
      refused: { code: 'too_large' },
    });
    expect(await stream.ask(subscribe('a', { after: '?' }))).toMatchObject({
      refused: { code: 'bad_cursor' },
    });
    expect(await stream.ask({})).toMatchObject({ refused: { code: 'invalid' } });
    expect(await stream.ask({ ping: {} })).toMatchObject({ kind: 'done' });
    expect(await stream.ask({ auth: 'token' })).toMatchObject({ kind: 'done' });
    expect(stream.hasEnded).toBe(false);
    stream.cancel();
  });

  test('a subscription has its own id', async () => {
    const stream = new StreamClient(client);
    expect(await stream.ask(subscribe('a'), '0')).toMatchObject({ refused: { code: 'invalid' } });
    expect(await stream.ask(subscribe('a'), '7')).toMatchObject({ kind: 'subscribed' });
    expect(await stream.ask(subscribe('b'), '7')).toMatchObject({ refused: { code: 'invalid' } });
    await server.publish('b', 'x');
    await server.publish('a', 'y');
    await stream.until(() => stream.payloads('7').length === 1);
    expect(stream.payloads('7')).toEqual(['y']);
    stream.cancel();
  });

  test('unsubscribe ends one, and its id can be used again', async () => {
    const stream = new StreamClient(client);
    const id = (await stream.ask(subscribe('a'))).id!;
    await stream.ask(subscribe('b'));
    expect(await stream.ask({ unsubscribe: { subscription: id } })).toMatchObject({ kind: 'done' });
    expect(server.hub.figures.subscriptions).toBe(1);
    await server.publish('a', 'x');
    await server.publish('b', 'y');
    await stream.until(() => stream.payloads('2').length === 1);
    expect(stream.payloads(id)).toEqual([]);
    expect(await stream.ask({ unsubscribe: { subscription: id } })).toMatchObject({
      refused: { code: 'not_found' },
    });
    expect(await stream.ask(subscribe('a', { since: 'earliest' }), id)).toMatchObject({ kind: 'subscribed' });
    await stream.until(() => stream.payloads(id).length === 1);
    stream.cancel();
  });

  test('holds a window of what is not acknowledged; release brings one again, marked', async () => {
    for (const data of ['1', '2', '3', '4', '5']) await server.publish('a', data);
    const stream = new StreamClient(client);
    const { id } = await stream.ask(subscribe('a', { since: 'earliest', acknowledge: true, window: 2 }));
    await stream.until(() => stream.payloads(id!).length === 2);
    // A message beyond the window would come before the answer to a ping.
    await stream.ask({ ping: {} });
    expect(stream.payloads(id!)).toEqual(['1', '2']);
    const [first, second] = stream.deliveries(id!).map(({ message }) => message!.cursor);
    expect(await stream.ask({ ack: { subscription: id, cursor: first } })).toMatchObject({ kind: 'done' });
    await stream.until(() => stream.payloads(id!).length === 3);
    expect(stream.deliveries(id!).map(({ redelivered }) => redelivered ?? false)).toEqual([
      false,
      false,
      false,
    ]);
    // No answer is wanted for those with id 0.
    stream.send({ ack: { subscription: id, cursor: second, release: true } }, '0');
    await stream.until(() => stream.payloads(id!).length === 4);
    expect(stream.deliveries(id!).at(-1)).toMatchObject({ redelivered: true, message: { cursor: second } });
    await stream.ask({ ack: { subscription: id, cursor: second, only: true } });
    await stream.until(() => stream.payloads(id!).length === 5);
    expect(stream.payloads(id!)).toEqual(['1', '2', '3', '2', '4']);
    expect(stream.responses.filter(({ id: of }) => of === undefined || of === '0')).toEqual([]);
    for (const cursor of ['', 'nonsense'])
      expect(await stream.ask({ ack: { subscription: id, cursor } })).toMatchObject({
        refused: { code: 'bad_cursor' },
      });
    expect(await stream.ask({ ack: { subscription: '99', cursor: second } })).toMatchObject({
      refused: { code: 'not_found' },
    });
    stream.cancel();
  });

  test('continues when the client has closed its half, and ends when nothing is left to say', async () => {
    const listener = new StreamClient(client);
    await listener.ask(subscribe('a'));
    listener.call.end();
    await server.publish('a', 'x');
    await listener.until(() => listener.payloads('1').length === 1);
    expect(listener.hasEnded).toBe(false);
    listener.cancel();

    const publisher = new StreamClient(client);
    for (let at = 0; at < 50; at += 1) publisher.send(publish('b', String(at)));
    publisher.call.end();
    expect(await publisher.ended()).toBeUndefined();
    expect(publisher.responses.map(({ published }) => published!.offset)).toEqual(
      Array.from({ length: 50 }, (_, at) => String(at + 1)),
    );
  });

  test('bytes that are no request end it with INTERNAL, and a refused call says why', async () => {
    const none = new Listening(client.subscribe({ channels: [] }));
    expect(await none.ended()).toMatchObject({ code: status.INVALID_ARGUMENT });
    const many = new Listening(
      client.subscribe({ channels: Array.from({ length: 4_097 }, (_, at) => `c${at}`) }),
    );
    expect(await many.ended()).toMatchObject({ code: status.INVALID_ARGUMENT });
    const bad = new Listening(client.subscribe({ channels: ['a', 'b'], after: 'nonsense' }));
    expect(await bad.ended()).toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('deadlines and cancelling', () => {
  test('a call ends with DEADLINE_EXCEEDED, and nothing of it is left', async () => {
    const calls = [
      new Listening(client.subscribe({ channels: ['a'] }, { deadline: Date.now() + 200 })),
      new StreamClient(client, { deadline: Date.now() + 200 }),
    ];
    for (const call of calls) expect(await call.ended()).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await server.settled();
  });

  test('the deadline of a Publish that has passed keeps it from being stored', async () => {
    const late = ask(
      client,
      'publish',
      { channel: 'late', data: Buffer.from('x') },
      { deadline: Date.now() - 1 },
    );
    await expect(late).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(await ask(client, 'read', { channel: 'late', since: 'earliest' })).not.toHaveProperty(
      'messages.0',
    );
  });

  test('cancelled calls leave nothing behind', async () => {
    const streams = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const stream = new StreamClient(client);
        await stream.ask(subscribe(`a/${at}`));
        return stream;
      }),
    );
    const follower = new Listening(client.subscribe({ channels: ['a/1', 'a/**'] }));
    await follower.first(({ kind }) => kind === 'subscribed');
    expect(server.hub.figures.sessions.get('grpc')).toBeGreaterThan(20);
    for (const stream of streams) stream.cancel();
    follower.cancel();
    await server.settled();
  });

  test('so do connections that are cut', async () => {
    const other = messagingClient(server.address);
    const stream = new StreamClient(other);
    await stream.ask(subscribe('a'));
    other.close();
    stream.cancel();
    await server.settled();
  });
});

describe('many and slow', () => {
  test('1,000 calls of 10 subscriptions on 10 connections', { timeout: 300_000 }, async () => {
    const clients = Array.from({ length: 10 }, () => messagingClient(server.address));
    const streams = clients.flatMap((one) => Array.from({ length: 100 }, () => new StreamClient(one)));
    const { length } = streams;
    for (const stream of streams) {
      for (let at = 0; at < 10; at += 1) stream.send(subscribe(`many/${at}`));
    }
    await Promise.all(streams.map((stream) => stream.until(() => stream.responses.length === 10)));
    expect(server.hub.figures.subscriptions).toBe(10 * length);
    expect(server.hub.figures.sessions.get('grpc')).toBe(length);
    for (let at = 0; at < 10; at += 1) await server.publish(`many/${at}`, String(at));
    await Promise.all(streams.map((stream) => stream.until(() => stream.responses.length === 20)));
    const wanted = Array.from({ length: 10 }, (_, at) => String(at));
    for (const stream of streams) {
      expect(wanted.map((_, at) => stream.payloads(String(at + 1))[0])).toEqual(wanted);
      stream.cancel();
    }
    for (const one of clients) one.close();
    await server.settled();
  });

  test('a reader that takes nothing is held at its cursor, within 64 KiB, and then catches up exactly', async () => {
    const stream = new StreamClient(client);
    await stream.ask(subscribe('slow'));
    stream.call.pause();
    const count = 6_000;
    const payload = 'x'.repeat(2_000);
    for (let at = 0; at < count; at += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, more) => server.publish('slow', `${at + more} ${payload}`)),
      );
    }
    // The test published twelve megabytes; the server holds at most one batch beyond the limit for the stream.
    const { outboundHeldFromBytes, batchBytesMax } = defaultLimits;
    expect(outboundHeldFromBytes + batchBytesMax).toBeLessThanOrEqual(64 * 1024);
    await expect.poll(() => server.unsentBytes(), { timeout: 60_000, interval: 10 }).toBeGreaterThan(0);
    expect(server.unsentBytes()).toBeLessThanOrEqual(64 * 1024);
    stream.call.resume();
    await stream.until(() => stream.deliveries('1').length === count);
    expect(stream.payloads('1').map((text) => Number(text.split(' ')[0]))).toEqual(
      Array.from({ length: count }, (_, at) => at),
    );
    stream.cancel();
  });

  test('is not read on while a megabyte of publishes waits for the store', async () => {
    const store = new HeldStore(server.hub);
    const stream = new StreamClient(client);
    const data = 'x'.repeat(60_000);
    const publishes = 60;
    for (let sent = 0; sent < publishes; sent += 1) stream.send(publish('a', data));
    await store.until(() => store.bytes >= defaultLimits.commandsInFlightBytesMax - data.length);
    const other = new StreamClient(client);
    for (let asked = 0; asked < 20; asked += 1) await other.ask({ ping: {} });
    // What was read in the same chunk was read.
    expect(store.bytes).toBeLessThanOrEqual(defaultLimits.commandsInFlightBytesMax + 2 * data.length);
    store.release();
    await stream.until(
      () => stream.responses.filter(({ kind }) => kind === 'published').length === publishes,
    );
    other.cancel();
    stream.cancel();
  });
});
