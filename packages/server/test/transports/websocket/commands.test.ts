import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { defaultLimits } from '../../../src/config/limits.ts';
import { RawClient } from '../../../../../test/clients/websocket/raw-client.ts';
import { HeldStore } from '../../core/held-store.ts';
import { textFrame } from '../../../../../test/clients/websocket/client-frames.ts';
import { TestServer } from './server.ts';

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start({ namespaces: [{ filter: 'short/**', retention: { countMax: 3 } }] });
});

afterEach(async () => {
  expect(server.errors).toEqual([]);
  await server.stop();
});

type Json = Record<string, unknown>;

/** A client of `everywire.v1` on the `ws` package: commands are matched to their answers, the rest is news. */
class Client {
  readonly socket: WebSocket;
  readonly news: Json[] = [];
  readonly order: string[] = [];
  closed: { code: number; reason: string } | undefined;
  #answers = new Map<unknown, (answer: Json) => void>();
  #waiting: (() => void)[] = [];
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Json;
      const { op, id } = frame as { op?: string; id?: number };
      this.order.push(op ?? `answer ${id}`);
      if (frame['op'] === undefined) this.#answers.get(frame['id'])?.(frame);
      else this.news.push(frame);
      for (const wake of this.#waiting.splice(0)) wake();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  static async open(): Promise<Client> {
    const client = new Client(new WebSocket(server.url('/ws'), 'everywire.v1'));
    await once(client.socket, 'open');
    return client;
  }

  ask(command: Json): Promise<Json> {
    const id = this.#nextId++;
    const answer = new Promise<Json>((resolve) => this.#answers.set(id, resolve));
    this.socket.send(JSON.stringify({ id, ...command }));
    return answer;
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async received(count: number): Promise<Json[]> {
    await this.until(() => this.news.length >= count);
    return this.news;
  }
}

describe('publish and subscribe', () => {
  test('as the interface shows them', async () => {
    const client = await Client.open();
    const subscribed = await client.ask({ op: 'subscribe', channel: 'chat/**' });
    expect(subscribed).toEqual({ id: 1, ok: true, cursor: expect.any(String), continuity: 'exact' });
    const published = await client.ask({ op: 'publish', channel: 'chat/room-1', data: { text: 'hi' } });
    expect(published).toEqual({
      id: 2,
      ok: true,
      offset: 1,
      cursor: expect.any(String),
      message: expect.any(String),
    });
    const [message] = await client.received(1);
    expect(message).toEqual({
      op: 'message',
      channel: 'chat/room-1',
      offset: 1,
      cursor: published['cursor'],
      id: published['message'],
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      type: 'application/json',
      data: { text: 'hi' },
    });
    expect(await client.ask({ op: 'unsubscribe', channel: 'chat/#' })).toEqual({ id: 3, ok: true });
    expect(await client.ask({ op: 'ping' })).toEqual({ id: 4, ok: true });
    expect(await client.ask({ op: 'auth', token: 'any' })).toEqual({ id: 5, ok: true });
  });

  test('every member of a publication arrives', async () => {
    const client = await Client.open();
    await client.ask({ op: 'subscribe', channel: 'a' });
    const headers = { lang: 'ko', __proto__x: 'y' };
    await client.ask({
      op: 'publish',
      channel: 'a',
      data: '안녕',
      type: 'text/plain',
      event: 'greeting',
      headers,
    });
    await client.ask({ op: 'publish', channel: 'a', base64: '//4A', ttl: 60, retain: true });
    await client.ask({ op: 'publish', channel: 'a', data: null, key: 'k', ttl: '5m' });
    const again = await client.ask({ op: 'publish', channel: 'a', data: null, key: 'k' });
    expect(again).toMatchObject({ ok: true, offset: 3, duplicate: true });
    const conflict = await client.ask({ op: 'publish', channel: 'a', data: 1, key: 'k' });
    expect(conflict).toMatchObject({ ok: false, error: { code: 'conflict' } });
    expect(await client.received(3)).toMatchObject([
      { type: 'text/plain', data: '안녕', event: 'greeting', headers },
      { type: 'application/octet-stream', base64: '//4A' },
      { type: 'application/json', data: null },
    ]);
  });

  test('JSON is stored and delivered as it was written', async () => {
    const raw = await RawClient.open(server.port, '/ws');
    const data = '{"big":12345678901234567890, "zero":-0.0,"e":1E2}';
    raw.write(
      Buffer.concat([
        textFrame('{"id":"s","op":"subscribe","channel":"a"}'),
        textFrame(`{"data":${data},"id":1.50,"op":"publish","channel":"a"}`),
      ]),
    );
    await raw.until(() => raw.texts.length === 3);
    expect(raw.texts.find((text) => text.startsWith('{"id":1.50,"ok":true'))).toBeDefined();
    expect(raw.texts.find((text) => text.includes('"op":"message"'))).toContain(`"data":${data}`);
    raw.destroy();
  });

  test('a subscription resumes from a cursor, and its answer comes before its first message', async () => {
    const cursor = await server.publish('a/1', 'one');
    await server.publish('a/2', 'two');
    await server.publish('a/1', 'three');
    const client = await Client.open();
    const answer = await client.ask({ op: 'subscribe', channel: 'a/*', after: cursor });
    expect(answer).toMatchObject({ ok: true, continuity: 'exact', cursor });
    expect((await client.received(2)).map(({ data }) => data)).toEqual(['two', 'three']);
    expect(client.order).toEqual(['answer 1', 'message', 'message']);
    await client.ask({ op: 'subscribe', channel: 'a/1', since: 'last-1' });
    expect((await client.received(3)).at(-1)).toMatchObject({ channel: 'a/1', data: 'three' });
  });

  test('a message is delivered once for each filter it matches, and once for one that is asked for twice', async () => {
    const client = await Client.open();
    await client.ask({ op: 'subscribe', channel: 'a' });
    await client.ask({ op: 'subscribe', channel: 'a/**' });
    await client.ask({ op: 'subscribe', channel: 'a/#' });
    await client.ask({ op: 'publish', channel: 'a', data: 1 });
    await client.ask({ op: 'publish', channel: 'a', data: 2 });
    await client.until(() => client.news.length >= 4);
    await client.ask({ op: 'ping' });
    expect(client.news.map(({ data }) => data).sort()).toEqual([1, 1, 2, 2]);
  });

  test('what was trimmed is reported with the answer, and delivery resumes after it', async () => {
    const cursor = await server.publish('short/a', '1');
    for (const text of ['2', '3', '4', '5', '6']) await server.publish('short/a', text);
    const client = await Client.open();
    const answer = await client.ask({ op: 'subscribe', channel: 'short/a', after: cursor });
    expect(answer).toMatchObject({
      ok: true,
      continuity: 'gap',
      gap: { channel: 'short/a', from: 2, to: 3, reason: 'retention' },
    });
    expect((await client.received(3)).map(({ data }) => data)).toEqual(['4', '5', '6']);
  });
});

describe('refusals are answered and the connection stays', () => {
  test.each([
    ['an invalid cursor', { op: 'subscribe', channel: 'a', after: 'zzz' }, 'bad_cursor'],
    ['an empty cursor', { op: 'subscribe', channel: 'a', after: '' }, 'bad_cursor'],
    ['an invalid since', { op: 'subscribe', channel: 'a', since: 'yesterday' }, 'invalid'],
    ['an empty channel', { op: 'subscribe', channel: '' }, 'bad_name'],
    ['a wildcard inside a level', { op: 'subscribe', channel: 'a*' }, 'bad_name'],
    ['a filter to publish to', { op: 'publish', channel: 'a/*', data: 1 }, 'bad_name'],
    ['a channel of the server', { op: 'publish', channel: '$x', data: 1 }, 'bad_name'],
    ['an invalid type', { op: 'publish', channel: 'a', base64: '', type: 'x' }, 'invalid'],
    ['invalid JSON', { op: 'publish', channel: 'a', base64: 'ew==', type: 'application/json' }, 'malformed'],
    ['a ttl of nothing', { op: 'publish', channel: 'a', data: 1, ttl: 0 }, 'invalid'],
    [
      'a payload over the limit',
      {
        op: 'publish',
        channel: 'a',
        type: 'text/plain',
        data: 'x'.repeat(defaultLimits.payloadBytesMax + 1),
      },
      'too_large',
    ],
    ['a filter without a subscription', { op: 'unsubscribe', channel: 'a' }, 'not_found'],
  ])('%s', async (_, command, code) => {
    const client = await Client.open();
    expect(await client.ask(command)).toEqual({
      id: 1,
      ok: false,
      error: { code, message: expect.any(String) },
    });
    expect(await client.ask({ op: 'ping' })).toEqual({ id: 2, ok: true });
    expect(server.hub.head.seq).toBe(0);
  });

  test('more subscriptions than allowed', async () => {
    const client = await Client.open();
    for (let at = 0; at < defaultLimits.subscriptionsMax; at += 1) {
      expect((await client.ask({ op: 'subscribe', channel: `a/${at}` }))['ok']).toBe(true);
    }
    expect(await client.ask({ op: 'subscribe', channel: 'one more' })).toMatchObject({
      error: { code: 'quota_exceeded' },
    });
    await client.ask({ op: 'unsubscribe', channel: 'a/0' });
    expect((await client.ask({ op: 'subscribe', channel: 'one more' }))['ok']).toBe(true);
  });
});

describe('publishing faster than the store', () => {
  test('is not read on from a megabyte, and everything is answered in the end', async () => {
    const store = new HeldStore(server.hub);
    const client = await Client.open();
    const other = await Client.open();
    const data = 'x'.repeat(60_000);
    const published = Array.from({ length: 60 }, () => client.ask({ op: 'publish', channel: 'a', data }));
    await store.until(() => store.bytes >= defaultLimits.commandsInFlightBytesMax - data.length);
    for (let asked = 0; asked < 20; asked += 1) await other.ask({ op: 'ping' });
    expect(store.bytes).toBeLessThanOrEqual(defaultLimits.commandsInFlightBytesMax + data.length);
    store.release();
    expect((await Promise.all(published)).every(({ ok }) => ok === true)).toBe(true);
  });
});

describe('going away', () => {
  test('says goaway, answers what was asked, closes with 1001', async () => {
    const client = await Client.open();
    await client.ask({ op: 'subscribe', channel: 'a' });
    const published = client.ask({ op: 'publish', channel: 'a', data: 1 });
    await client.received(1);
    server.hub.beginDrain();
    await server.transport.drain(AbortSignal.timeout(2_000));
    expect((await published)['ok']).toBe(true);
    await client.until(() => client.closed !== undefined);
    expect(client.news.at(-1)).toEqual({ op: 'goaway', retryAfterMs: expect.any(Number) });
    expect(client.closed).toEqual({ code: 1001, reason: 'going_away' });
  });

  test('cuts peers that do not answer at the deadline', async () => {
    const silent = await RawClient.open(server.port, '/ws');
    const deadline = new AbortController();
    server.hub.beginDrain();
    const drained = server.transport.drain(deadline.signal);
    await silent.until(() => silent.closeCode !== undefined);
    expect(silent.closeCode).toBe(1001);
    deadline.abort();
    await drained;
    await silent.until(() => silent.isEnded);
  });
});
