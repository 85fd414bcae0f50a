import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createServer, type ConfigInput, type EverywireServer } from '../../../src/index.ts';
import { Receiver } from './receiver.ts';

interface View {
  readonly id: string;
  readonly state: string;
  readonly cursor: string;
  readonly lag: number;
  readonly failures: number;
  readonly lastError: string | null;
  readonly nextAttempt: string | null;
  readonly lastGap: object | null;
  readonly parked: readonly object[];
  readonly [name: string]: unknown;
}

interface Made {
  readonly id: string;
  readonly secret: string;
}

const folder = { path: '' };
const stops: (() => Promise<void>)[] = [];

beforeEach(() => {
  folder.path = mkdtempSync(join(tmpdir(), 'everywire-webhook-'));
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  rmSync(folder.path, { recursive: true, force: true });
});

async function serve({ webhooks, ...config }: ConfigInput = {}): Promise<
  Api & { readonly server: EverywireServer }
> {
  const server = createServer({
    store: `lmdb:${folder.path}`,
    http: { port: 0 },
    mqtt: { port: -1 },
    stomp: { port: -1 },
    grpc: { port: -1 },
    log: { level: 'silent' },
    ...config,
    webhooks: { allowTargets: ['127.0.0.1'], retryDelays: ['50ms'], ...webhooks },
  });
  const { http } = await server.start();
  stops.push(() => server.stop());
  return Object.assign(new Api(http), { server });
}

async function receive(...given: Parameters<typeof Receiver.start>): Promise<Receiver> {
  const receiver = await Receiver.start(...given);
  stops.push(() => receiver.stop());
  return receiver;
}

class Api {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
  }

  async register(request: object): Promise<Made> {
    const { status, body } = await this.call('POST', '/webhooks', request);
    expect(status, JSON.stringify(body)).toBe(201);
    return body as Made;
  }

  async show(id: string): Promise<View> {
    return (await this.call('GET', `/webhooks/${id}`)).body as View;
  }

  async publish(channel: string, data: string, type = 'text/plain'): Promise<{ cursor: string; id: string }> {
    const response = await fetch(`${this.url}/channels/${channel}`, {
      method: 'POST',
      body: data,
      headers: { 'Content-Type': type },
    });
    return (await response.json()) as { cursor: string; id: string };
  }

  /** Asks until the webhook has the wanted state: the server stores it a moment after the receiver got the request. */
  async until(id: string, isWanted: (view: View) => boolean): Promise<View> {
    for (;;) {
      const view = await this.show(id);
      if (isWanted(view)) return view;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const dataOf = (receiver: Receiver): readonly unknown[] =>
  receiver.hooks.map(({ body }) => (JSON.parse(body) as { data: unknown }).data);

describe('delivery', () => {
  test('an envelope for each message, in order, signed so that the library verifies it', async () => {
    const [api, receiver] = [await serve(), await receive()];
    const { id, secret } = await api.register({ url: receiver.url, filter: 'orders/**' });
    const first = await api.publish('orders/1', '{"n":1}', 'application/json');
    await api.publish('elsewhere', 'no');
    await api.publish('orders/1', 'two');
    await receiver.received(2);
    expect(receiver.verified(secret)).toMatchObject([
      { channel: 'orders/1', offset: 1, cursor: first.cursor, type: 'application/json', data: { n: 1 } },
      { channel: 'orders/1', offset: 2, data: 'two' },
    ]);
    expect(receiver.hooks[0]!.headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': first.id,
      'everywire-webhook': id,
    });
    expect(await api.until(id, ({ lag }) => lag === 0)).toMatchObject({ state: 'active', failures: 0 });
  });

  test('a failed message is sent again, the same bytes under the same id, and later ones wait', async () => {
    const receiver = await receive((_, response, index) => response.writeHead(index < 2 ? 500 : 200).end());
    const api = await serve();
    const { id, secret } = await api.register({ url: receiver.url, filter: 'a' });
    await api.publish('a', 'one');
    await api.publish('a', 'two');
    await receiver.received(4);
    expect(dataOf(receiver)).toEqual(['one', 'one', 'one', 'two']);
    receiver.verified(secret);
    const [first, second] = receiver.hooks;
    expect(second!.body).toBe(first!.body);
    expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
    expect(await api.until(id, ({ lag }) => lag === 0)).toMatchObject({ state: 'active', lastError: null });
  });

  test('while it fails, it says why, since when and until when', async () => {
    const receiver = await receive((_, response) => response.writeHead(503, { 'Retry-After': '3600' }).end());
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    await api.publish('a', 'one');
    await receiver.received(1);
    const view = await api.until(id, ({ state }) => state === 'failing');
    expect(view).toMatchObject({ failures: 1, lastError: '503', lag: 1 });
    expect(Date.parse(view.nextAttempt!) - Date.now()).toBeGreaterThan(3_000_000);
  });

  test('its lag counts messages, however large they are', async () => {
    const receiver = await receive((_, response) => response.writeHead(410).end());
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    await api.publish('a', 'x');
    await api.until(id, ({ state }) => state === 'paused');
    // Three pages of what one answer may hold.
    for (let at = 1; at < 50; at += 1) await api.publish('a', 'x'.repeat(60_000));
    expect(await api.show(id)).toMatchObject({ lag: 50 });
  });

  test('410 ends it until it is resumed', async () => {
    const receiver = await receive((_, response, index) => response.writeHead(index === 0 ? 410 : 200).end());
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    await api.publish('a', 'one');
    await api.until(id, ({ state }) => state === 'paused');
    expect(await api.show(id)).toMatchObject({ lastError: '410: the receiver is gone', lag: 1 });
    expect((await api.call('PATCH', `/webhooks/${id}`, { state: 'active' })).status).toBe(200);
    await receiver.received(2);
    await api.until(id, ({ lag }) => lag === 0);
    expect(dataOf(receiver)).toEqual(['one', 'one']);
  });

  test('a redirect is a failure, and nothing goes where it leads', async () => {
    const target = await receive();
    const receiver = await receive((_, response) => response.writeHead(307, { Location: target.url }).end());
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    await api.publish('a', 'one');
    const view = await api.until(id, ({ state }) => state === 'failing');
    expect(view.lastError).toBe('307: redirects are not followed');
    expect(target.hooks).toEqual([]);
  });

  test('one dead endpoint keeps no other waiting', async () => {
    const dead = await receive(() => undefined);
    const alive = await receive();
    const api = await serve({ limits: { webhookTimeoutMs: 500 } });
    await api.register({ url: dead.url, filter: 'a' });
    await api.register({ url: alive.url, filter: 'a' });
    for (let n = 0; n < 50; n += 1) await api.publish('a', String(n));
    await alive.received(50);
    expect(dataOf(alive)).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
    // However often it was asked, it was for the first.
    expect(new Set(dataOf(dead))).toEqual(new Set(['0']));
  });
});

describe('a channel whose message fails', () => {
  const isPoison = (body: string): boolean => body.includes('poison');

  test('is set aside with its own position, and the others continue', async () => {
    let isMended = false;
    const receiver = await receive(({ body }, response) =>
      response.writeHead(isPoison(body) && !isMended ? 400 : 200).end(),
    );
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'shop/**' });
    const before = await api.publish('shop/bad', 'before');
    await api.publish('shop/bad', 'poison');
    // More than the window holds.
    for (let n = 0; n < 20; n += 1) await api.publish('shop/bad', `behind ${n}`);
    for (let n = 0; n < 20; n += 1) await api.publish('shop/good', `good ${n}`);
    await receiver.received(22);
    const view = await api.until(id, ({ parked, lag }) => parked.length === 1 && lag === 21);
    expect(view).toMatchObject({ state: 'failing', lastError: '400', lag: 21 });
    expect(view.parked).toMatchObject([{ channel: 'shop/bad', lastError: '400' }]);
    expect(before.cursor).not.toBe('');
    const texts = (wanted: string) => dataOf(receiver).filter((text) => String(text).startsWith(wanted));
    await expect.poll(() => texts('good')).toEqual(Array.from({ length: 20 }, (_, n) => `good ${n}`));
    expect(texts('behind')).toEqual([]);
    isMended = true;
    await api.until(id, ({ state, lag }) => state === 'active' && lag === 0);
    expect(texts('behind')).toEqual(Array.from({ length: 20 }, (_, n) => `behind ${n}`));
    // It is one of many again.
    await api.publish('shop/bad', 'after');
    await api.until(id, ({ lag }) => lag === 0);
    expect(dataOf(receiver).at(-1)).toBe('after');
    expect(await api.show(id)).toMatchObject({ parked: [], failures: 0, lastError: null, nextAttempt: null });
  });

  test('continues behind the message when that is skipped', async () => {
    const receiver = await receive(({ body }, response) =>
      response.writeHead(isPoison(body) ? 500 : 200).end(),
    );
    const api = await serve({ webhooks: { retryDelays: ['1h'] } });
    const { id } = await api.register({ url: receiver.url, filter: 'shop/**' });
    for (const text of ['one', 'poison', 'two', 'poison again', 'three']) await api.publish('shop/bad', text);
    await api.until(id, ({ state }) => state === 'failing');
    expect((await api.call('POST', `/webhooks/${id}/skip`, { channel: 'shop/good' })).status).toBe(404);
    expect((await api.call('POST', `/webhooks/${id}/skip`, {})).status).toBe(422);
    expect((await api.call('POST', `/webhooks/${id}/skip`, { channel: 'shop/bad' })).status).toBe(200);
    await receiver.received(4);
    await api.until(id, ({ failures }) => failures === 1);
    expect((await api.call('POST', `/webhooks/${id}/skip`, { channel: 'shop/bad' })).status).toBe(200);
    await api.until(id, ({ state, lag }) => state === 'active' && lag === 0);
    expect(dataOf(receiver)).toEqual(['one', 'poison', 'two', 'poison again', 'three']);
  });

  test('and its position survive a restart', async () => {
    let isMended = false;
    const receiver = await receive(({ body }, response) =>
      response.writeHead(isPoison(body) && !isMended ? 500 : 200).end(),
    );
    const before = await serve();
    const { id } = await before.register({ url: receiver.url, filter: 'shop/**' });
    for (const text of ['one', 'poison', 'two']) await before.publish('shop/bad', text);
    await before.publish('shop/good', 'good');
    await before.until(id, ({ parked, lag }) => parked.length === 1 && lag === 2);
    await before.server.stop();
    isMended = true;
    const after = await serve();
    await after.publish('shop/bad', 'three');
    await after.until(id, ({ state, lag }) => state === 'active' && lag === 0);
    const texts = dataOf(receiver).filter((text) => text !== 'poison' && text !== 'good');
    expect(texts).toEqual(['one', 'two', 'three']);
    expect(dataOf(receiver).filter((text) => text === 'good')).toEqual(['good']);
  });

  test('does not make the others wait for an overloaded endpoint less than it asks for', async () => {
    const receiver = await receive((_, response) => response.writeHead(429, { 'Retry-After': '3600' }).end());
    const api = await serve();
    const { id } = await api.register({ url: receiver.url, filter: 'shop/**' });
    await api.publish('shop/1', 'x');
    await api.until(id, ({ state }) => state === 'failing');
    await api.publish('shop/2', 'x');
    await api.publish('shop/3', 'x');
    expect(await api.show(id)).toMatchObject({ lag: 3 });
    expect(receiver.hooks).toHaveLength(1);
  });

  test('while the endpoint as a whole fails, few of them are tried', async () => {
    let isMended = false;
    const receiver = await receive((_, response) => response.writeHead(isMended ? 200 : 500).end());
    const api = await serve({ webhooks: { retryDelays: ['1h'] } });
    const { id } = await api.register({ url: receiver.url, filter: 'shop/**' });
    for (let n = 0; n < 20; n += 1) await api.publish(`shop/${n}`, 'x');
    const view = await api.until(id, ({ failures, lag }) => failures > 0 && lag === 20);
    expect(view.parked.length).toBeLessThanOrEqual(8);
    isMended = true;
    await api.call('PATCH', `/webhooks/${id}`, { state: 'active' });
    await api.until(id, ({ state, lag }) => state === 'active' && lag === 0);
    expect(
      new Set(receiver.hooks.map(({ body }) => (JSON.parse(body) as { channel: string }).channel)).size,
    ).toBe(20);
  });
});

describe('what survives', () => {
  test('a restart resumes where it was, with what was published meanwhile and what had failed', async () => {
    let isBroken = true;
    const receiver = await receive((_, response) => response.writeHead(isBroken ? 500 : 200).end());
    const before = await serve();
    const { id, secret } = await before.register({ url: receiver.url, filter: 'a' });
    await before.publish('a', 'one');
    await before.until(id, ({ state }) => state === 'failing');
    await before.server.stop();
    isBroken = false;
    const after = await serve();
    await after.publish('a', 'two');
    await after.until(id, ({ lag }) => lag === 0);
    expect(dataOf(receiver).slice(-2)).toEqual(['one', 'two']);
    receiver.verified(secret);
  });

  test('what was answered before a restart is not sent again', async () => {
    const receiver = await receive();
    const before = await serve();
    const { id } = await before.register({ url: receiver.url, filter: 'a' });
    for (let n = 0; n < 20; n += 1) await before.publish('a', String(n));
    await receiver.received(20);
    await before.server.stop();
    const after = await serve();
    await after.publish('a', 'last');
    await after.until(id, ({ lag }) => lag === 0);
    expect(dataOf(receiver)).toEqual([...Array.from({ length: 20 }, (_, n) => String(n)), 'last']);
  });
});

describe('the resource', () => {
  test('pause holds it, resume continues, rewind repeats, delete ends it', async () => {
    const [api, receiver] = [await serve(), await receive()];
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    expect((await api.call('PATCH', `/webhooks/${id}`, { paused: true })).body).toMatchObject({
      state: 'paused',
    });
    await api.publish('a', 'one');
    expect(await api.show(id)).toMatchObject({ state: 'paused', lag: 1 });
    expect((await api.call('PATCH', `/webhooks/${id}`, { paused: false })).body).toMatchObject({
      state: 'active',
    });
    await receiver.received(1);
    await api.until(id, ({ lag }) => lag === 0);
    expect((await api.call('POST', `/webhooks/${id}/rewind`, { since: 'earliest' })).status).toBe(200);
    await receiver.received(2);
    expect(dataOf(receiver)).toEqual(['one', 'one']);
    expect((await api.call('DELETE', `/webhooks/${id}`)).status).toBe(204);
    expect((await api.call('GET', `/webhooks/${id}`)).status).toBe(404);
    expect((await api.call('GET', '/webhooks')).body).toEqual({ webhooks: [] });
  });

  test('since begins in the past', async () => {
    const [api, receiver] = [await serve(), await receive()];
    await api.publish('a', 'one');
    await api.publish('a', 'two');
    await api.register({ url: receiver.url, filter: 'a', since: 'earliest' });
    await receiver.received(2);
    expect(dataOf(receiver)).toEqual(['one', 'two']);
  });

  test('are listed by pages', async () => {
    const [api, receiver] = [await serve(), await receive()];
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) ids.push((await api.register({ url: receiver.url, filter: `a/${n}` })).id);
    const listed: string[] = [];
    let after: string | undefined;
    do {
      const path: string = `/webhooks?limit=2${after === undefined ? '' : `&after=${after}`}`;
      const page = (await api.call('GET', path)).body as { webhooks: View[]; next?: string };
      listed.push(...page.webhooks.map(({ id }) => id));
      after = page.next;
    } while (after !== undefined);
    expect(listed).toEqual([...ids].sort());
  });

  test('a new secret signs beside the old one', async () => {
    const [api, receiver] = [await serve(), await receive()];
    const { id, secret } = await api.register({ url: receiver.url, filter: 'a' });
    const next = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
    expect((await api.call('PATCH', `/webhooks/${id}`, { secret: next })).status).toBe(200);
    await api.publish('a', 'one');
    await receiver.received(1);
    receiver.verified(secret);
    receiver.verified(next);
  });

  test('no answer shows a secret', async () => {
    const [api, receiver] = [await serve(), await receive()];
    const { id, secret } = await api.register({ url: receiver.url, filter: 'a' });
    for (const path of ['/webhooks', `/webhooks/${id}`])
      expect(JSON.stringify((await api.call('GET', path)).body)).not.toContain(secret.slice(6));
  });

  test('a test message says what the endpoint answered', async () => {
    const receiver = await receive((_, response, index) => response.writeHead(index === 0 ? 200 : 418).end());
    const api = await serve();
    const { id, secret } = await api.register({ url: receiver.url, filter: 'a' });
    expect((await api.call('POST', `/webhooks/${id}/test`)).body).toEqual({ delivered: true, status: 200 });
    expect((await api.call('POST', `/webhooks/${id}/test`)).body).toEqual({
      delivered: false,
      status: 418,
      error: '418',
    });
    expect(receiver.verified(secret)[0]).toMatchObject({ event: 'everywire.test' });
  });

  test.each([
    [{ filter: 'a' }, 422],
    [{ url: 'https://127.0.0.2/', filter: 'a' }, 422],
    [{ url: 'https://example.com/', filter: 'a/**/b' }, 400],
    [{ url: 'http://127.0.0.1:1/', filter: 'a', since: 'soon' }, 400],
    [{ url: 'http://127.0.0.1:1/', filter: 'a', after: 'nowhere' }, 400],
    [{ url: 'http://127.0.0.1:1/', filter: 'a', secret: 'short' }, 422],
    [{ url: 'http://127.0.0.1:1/', filter: 'a', format: 'xml' }, 422],
    [{ url: 'http://127.0.0.1:1/', filter: 'a', colour: 'red' }, 422],
  ])('refused, and nothing is left of it: %j', async (request, status) => {
    const api = await serve();
    const answer = await api.call('POST', '/webhooks', request);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ status });
    expect((await api.call('GET', '/webhooks')).body).toEqual({ webhooks: [] });
  });

  test('there is a bound to how many there may be', async () => {
    const [api, receiver] = [await serve({ limits: { webhooksMax: 1 } }), await receive()];
    await api.register({ url: receiver.url, filter: 'a' });
    expect((await api.call('POST', '/webhooks', { url: receiver.url, filter: 'a' })).status).toBe(403);
  });
});

describe('a gap', () => {
  test('is reported with the next delivery, and shown', async () => {
    let isBroken = true;
    const receiver = await receive((_, response) => response.writeHead(isBroken ? 500 : 200).end());
    const api = await serve({ retention: { count: 3 } });
    const { id } = await api.register({ url: receiver.url, filter: 'a' });
    await api.call('PATCH', `/webhooks/${id}`, { paused: true });
    for (let n = 1; n <= 20; n += 1) await api.publish('a', String(n));
    isBroken = false;
    await api.call('PATCH', `/webhooks/${id}`, { paused: false });
    await receiver.received(3);
    expect(receiver.hooks[0]!.headers['everywire-continuity']).toBe('gap');
    expect(dataOf(receiver)).toEqual(['18', '19', '20']);
    expect((await api.show(id)).lastGap).toMatchObject({ channel: 'a', to: 17, reason: 'retention' });
  });
});

describe('formats', () => {
  test('CloudEvents, structured and binary', async () => {
    const api = await serve();
    const [structured, binary] = [await receive(), await receive()];
    await api.register({ url: structured.url, filter: 'a/b', format: 'cloudevents' });
    await api.register({ url: binary.url, filter: 'a/b', format: 'cloudevents-binary' });
    const { id, cursor } = await api.publish('a/b', '{"n":1}', 'application/json');
    await Promise.all([structured.received(1), binary.received(1)]);
    const attributes = {
      specversion: '1.0',
      id,
      source: '/channels/a/b',
      type: 'everywire.message',
      subject: 'a/b',
    };
    expect(structured.hooks[0]!.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
    expect(JSON.parse(structured.hooks[0]!.body)).toMatchObject({
      ...attributes,
      datacontenttype: 'application/json',
      everywirecursor: cursor,
      data: { n: 1 },
    });
    expect(binary.hooks[0]!.body).toBe('{"n":1}');
    expect(binary.hooks[0]!.headers).toMatchObject({
      'content-type': 'application/json',
      'ce-id': id,
      'ce-source': '/channels/a/b',
      'ce-specversion': '1.0',
    });
  });
});

test('what was published as a CloudEvent is delivered with the attributes it came with', async () => {
  const [api, receiver] = [await serve(), await receive()];
  await api.register({ url: receiver.url, filter: 'a', format: 'cloudevents' });
  const event = {
    specversion: '1.0',
    id: 'A-1',
    source: '/shop',
    type: 'order.paid',
    subject: '한',
    data: { n: 1 },
  };
  await fetch(`${api.url}/channels/a`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/cloudevents+json' },
    body: JSON.stringify(event),
  });
  await receiver.received(1);
  expect(JSON.parse(receiver.hooks[0]!.body)).toMatchObject(event);
});

describe('the challenge', () => {
  // Allowed by what the name resolves to, but not named itself.
  const asked: ConfigInput = { webhooks: { allowTargets: ['127.0.0.0/8'] } };

  test.each([
    ['the challenge as its body', (challenge: string) => challenge, 201],
    ['the challenge in JSON', (challenge: string) => JSON.stringify({ challenge }), 201],
    ['something else', () => 'ok', 422],
  ])('an endpoint that answers with %s', async (_name, bodyOf, status) => {
    const receiver = await receive(({ body }, response) => {
      const { data } = JSON.parse(body) as { data: { challenge: string } };
      response.end(bodyOf(data.challenge));
    });
    const api = await serve(asked);
    const url = `http://localhost:${receiver.port}/`;
    expect((await api.call('POST', '/webhooks', { url, filter: 'a' })).status).toBe(status);
    expect(JSON.parse(receiver.hooks[0]!.body)).toMatchObject({ event: 'everywire.challenge' });
    expect((await api.call('GET', '/webhooks')).body).toMatchObject({ webhooks: status === 201 ? [{}] : [] });
  });
});
