import { Validator } from '@seriousme/openapi-schema-validator';
import type { Duplex } from 'node:stream';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AllowedOrigins } from '../../src/http/origin.ts';
import { startRig, type Rig } from './rig.ts';
import { openGet, WireClient } from '../../../../test/clients/http/wire-client.ts';

describe('the HTTP API', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig({
      prepare: ({ upgrades }) => {
        const echo = (_: unknown, socket: Duplex, head: Buffer): void => {
          socket.write('echo: ');
          socket.write(head);
          socket.pipe(socket);
        };
        upgrades.add((path) => path === '/upgraded', echo);
      },
    });
  });
  afterAll(async () => {
    await rig.stop();
    expect(rig.complaints).toEqual([]);
  });

  const ask = async (
    target: string,
    init: RequestInit = {},
  ): Promise<{ status: number; headers: Headers; body: unknown }> => {
    const response = await fetch(rig.front.url + target, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  const post = (
    target: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): ReturnType<typeof ask> => ask(target, { method: 'POST', body, headers });

  it('publishes any body with its type, and answers with the receipt', async () => {
    const headers = {
      'Content-Type': 'image/png',
      'Everywire-Event': 'drawn',
      'Everywire-Meta-Lang': 'ko',
      'Everywire-TTL': '60s',
      'Everywire-Retain': 'true',
    };
    const { status, body } = await post('/channels/pictures/1', Buffer.from([1, 2, 255]), headers);
    expect(status).toBe(201);
    expect(body).toMatchObject({ channel: 'pictures/1', offset: 1 });
    const { body: page } = await ask('/channels/pictures/1');
    const { cursor, id, time } = body as Record<string, string>;
    expect((page as { messages: unknown[] }).messages).toEqual([
      {
        channel: 'pictures/1',
        offset: 1,
        cursor,
        id,
        time,
        event: 'drawn',
        type: 'image/png',
        base64: 'AQL/',
        headers: { lang: 'ko' },
      },
    ]);
  });

  it('takes header values in UTF-8', async () => {
    const head =
      'POST /channels/utf8 HTTP/1.1\r\nHost: localhost\r\nEverywire-Event: 안녕\r\nContent-Length: 0\r\n\r\n';
    await using client = new WireClient(rig.port);
    await client.send(Buffer.from(head));
    expect((await client.answer()).status).toBe(201);
    expect((await ask('/channels/utf8')).body).toMatchObject({ messages: [{ event: '안녕' }] });
  });

  it('takes __proto__ and constructor for the plain names they are', async () => {
    const fields = [
      '__proto__: x',
      'constructor: y',
      'Everywire-Meta-__proto__: z',
      'Everywire-Meta-Everywire-Id: spoofed',
    ];
    await using client = new WireClient(rig.port);
    await client.send(
      `POST /channels/__proto__ HTTP/1.1\r\nHost: localhost\r\n${fields.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`,
    );
    expect((await client.answer()).status).toBe(201);
    const response = await fetch(`${rig.front.url}/channels/__proto__`);
    expect(await response.text()).toContain('"headers":{"__proto__":"z"}');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('stores a key once: the same answer for the same body, 409 for another', async () => {
    const headers = { 'Idempotency-Key': 'k-1', 'Content-Type': 'text/plain' };
    const first = await post('/channels/keys', 'a', headers);
    const again = await post('/channels/keys', 'a', headers);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual({ ...(first.body as object), duplicate: true });
    const other = await post('/channels/keys', 'b', headers);
    expect(other.status).toBe(409);
    expect(other.body).toMatchObject({ code: 'conflict', instance: '/channels/keys' });
  });

  it('takes the channel literally from the path', async () => {
    const names = [
      '/a',
      'a//b',
      'a/',
      'a%252fb',
      'a%2Fc',
      'x/../y',
      '%ED%95%9C%EA%B5%AD',
      'e%CC%81',
      '%C3%A9',
      'a%E2%80%A8b',
    ];
    for (const name of names) {
      await using client = new WireClient(rig.port);
      await client.send(
        `POST /channels/lit/${name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`,
      );
      const answer = await client.answer();
      expect(answer.status).toBe(201);
      const { channel, offset } = JSON.parse(answer.body) as { channel: string; offset: number };
      expect(channel).toBe(`lit/${decodeURIComponent(name)}`);
      expect(offset).toBe(1);
    }
  });

  it('publishes several, each with its own answer, and keeps JSON as it was written', async () => {
    const body = `[
      {"channel":"many/1","data": {"n": 1.0, "big": 12345678901234567890}},
      {"channel":"many/2","data":"plain","type":"text/plain","event":"e","headers":{"a":"b"},"key":"x","ttl":5},
      {"channel":"bad+name","data":1},
      {"channel":"many/3","base64":"AQL/"}
    ]`;
    const { status, body: results } = await post('/publish', body, { 'Content-Type': 'application/json' });
    expect(status).toBe(200);
    expect(results).toMatchObject([
      { channel: 'many/1', offset: 1 },
      { channel: 'many/2' },
      { status: 400, code: 'bad_name' },
      { channel: 'many/3' },
    ]);
    const response = await fetch(`${rig.front.url}/channels/many/**?since=earliest`);
    const text = await response.text();
    expect(text).toContain('"data":{"n": 1.0, "big": 12345678901234567890}');
    expect(JSON.parse(text)).toMatchObject({
      messages: [{}, { data: 'plain', event: 'e', headers: { a: 'b' } }, { base64: 'AQL/' }],
    });
  });

  it('undoes gzip and deflate', async () => {
    for (const [coding, bytes] of [
      ['gzip', gzipSync('squeezed')],
      ['deflate', deflateSync('squeezed')],
    ] as const) {
      const headers = { 'Content-Encoding': coding, 'Content-Type': 'text/plain' };
      expect((await post(`/channels/coded/${coding}`, bytes, headers)).status).toBe(201);
      expect((await ask(`/channels/coded/${coding}`)).body).toMatchObject({
        messages: [{ data: 'squeezed' }],
      });
    }
  });

  it('takes a payload of exactly the limit, whole and in chunks', async () => {
    const payload = 'x'.repeat(65_536);
    expect((await post('/channels/max', payload)).status).toBe(201);
    await using client = new WireClient(rig.port);
    const head = 'POST /channels/max HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n';
    await client.send(`${head}8000\r\n${'y'.repeat(0x8000)}\r\n8000\r\n${'y'.repeat(0x8000)}\r\n0\r\n\r\n`);
    expect((await client.answer()).status).toBe(201);
  });

  it('lists channels by name, page by page, and deletes them', async () => {
    for (const name of ['list/a', 'list/b', 'list/c']) await post(`/channels/${name}`, 'x');
    const { body } = await ask('/channels?filter=list/**&limit=2');
    expect(body).toMatchObject({
      channels: [{ channel: 'list/a', offset: 1, bytes: 1, subscribers: 0 }, {}],
      next: 'list/b',
    });
    const rest = await ask('/channels?filter=list/**&after=list/b');
    expect(rest.body).toMatchObject({ channels: [{ channel: 'list/c' }] });
    expect((await ask('/channels/list/b', { method: 'DELETE' })).status).toBe(204);
    expect((await ask('/channels/list/b', { method: 'DELETE' })).status).toBe(404);
    const left = (await ask('/channels?filter=list/**')).body as { channels: { channel: string }[] };
    expect(left.channels.map(({ channel }) => channel)).toEqual(['list/a', 'list/c']);
  });

  it('knows paths of which one level is a name', async () => {
    const options = await ask('/problems/malformed', { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
    const posted = await post('/problems/malformed', 'x');
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
    for (const target of ['/problems/', '/problems/a/b', '/problem/a'])
      expect((await ask(target, { method: 'OPTIONS' })).status).toBe(404);
  });

  it('answers OPTIONS with the allowed methods, and takes the absolute form of a target', async () => {
    const { status, headers } = await ask('/channels/x', { method: 'OPTIONS' });
    expect(status).toBe(204);
    expect(headers.get('allow')).toBe('DELETE, GET, HEAD, OPTIONS, POST');
    expect(headers.get('access-control-allow-origin')).toBeNull();
    await using client = await openGet(rig.port, `http://localhost:${rig.port}/livez`);
    expect((await client.answer()).status).toBe(200);
    await client.send('OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await client.answer()).status).toBe(204);
  });

  it('answers pipelined requests in order', async () => {
    await using client = new WireClient(rig.port);
    const one = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    await client.send(one('/channels/slow?wait=100ms') + one('/livez') + one('/nothing'));
    expect((await client.answer()).body).toContain('"messages":[]');
    expect((await client.answer()).body).toContain('live');
    expect((await client.answer()).status).toBe(404);
  });

  it('answers a good request before a bad one after it, and closes', async () => {
    await using client = new WireClient(rig.port);
    await client.send('GET /channels/slow?wait=100ms HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n');
    expect((await client.answer()).body).toContain('"messages":[]');
    expect((await client.answer()).status).toBe(400);
    client.socket.end();
    await client.closed();
  });

  it('serves nothing behind a refused request that waits for an earlier answer', async () => {
    await using client = new WireClient(rig.port);
    const smuggled = 'POST /channels/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx';
    const bad = 'GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n';
    await client.send(`GET /channels/slow?wait=100ms HTTP/1.1\r\nHost: localhost\r\n\r\n${bad}${smuggled}`);
    expect((await client.answer()).body).toContain('"messages":[]');
    expect((await client.answer()).status).toBe(400);
    client.socket.end();
    await client.closed();
    expect((await ask('/channels?filter=smuggled')).body).toEqual({ channels: [] });
  });

  it('starts few of the long polls of one connection at a time, and answers all', async () => {
    await using client = new WireClient(rig.port);
    const poll = 'GET /channels/slow?wait=20ms HTTP/1.1\r\nHost: localhost\r\n\r\n';
    // More than one read of the socket brings, and the last of them in two pieces.
    const all = poll.repeat(2_000);
    await client.send(all.slice(0, -10));
    expect((await client.answer()).status).toBe(200);
    expect(rig.hub.figures.sessions.get('poll')).toBeLessThanOrEqual(33);
    await client.send(all.slice(-10));
    for (let at = 1; at < 2_000; at += 1) expect((await client.answer()).status).toBe(200);
    expect(rig.hub.figures.sessions.get('poll')).toBe(0);
    await client.send('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await client.answer()).status).toBe(200);
  });

  it('reads the body of a request that had to wait for its turn', async () => {
    await using client = new WireClient(rig.port);
    const poll = 'GET /channels/slow?wait=50ms HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const head = 'POST /channels/late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n';
    await client.send(poll.repeat(40) + head);
    await client.send('x'.repeat(60_000) + poll);
    for (let at = 0; at < 40; at += 1) expect((await client.answer()).status).toBe(200);
    expect((await client.answer()).status).toBe(201);
    expect((await client.answer()).status).toBe(200);
  });

  it('starts a stream when the requests before it are answered', async () => {
    await using client = new WireClient(rig.port);
    const one = (target: string, fields = ''): string =>
      `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
    const stream = one('/channels/turn', 'Accept: text/event-stream\r\n');
    await client.send(one('/channels/turn?wait=50ms').repeat(40) + stream + one('/livez').repeat(40));
    for (let at = 0; at < 40; at += 1) expect((await client.answer()).status).toBe(200);
    await client.until(({ received }) => received.includes('retry:'));
    await post('/channels/turn', 'now');
    await client.until(({ received }) => received.includes('data: now'));
    expect(client.received).not.toContain('live');
    client.socket.end();
    await client.closed();
  });

  it('upgrades when the requests before the handshake are answered', async () => {
    await using client = new WireClient(rig.port);
    const poll = 'GET /channels/slow?wait=50ms HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const handshake =
      'GET /upgraded HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    // Some of the first bytes come with the handshake, some while earlier requests are in progress, and some after.
    await client.send(`${poll.repeat(40)}${handshake}with it, `);
    expect((await client.answer()).status).toBe(200);
    await client.send('before, ');
    for (let at = 1; at < 40; at += 1) expect((await client.answer()).status).toBe(200);
    await client.send('after');
    await client.until(({ received }) => received === 'echo: with it, before, after');
  });

  it('writes 100 Continue for a body that it will take', async () => {
    await using client = new WireClient(rig.port);
    const head =
      'POST /channels/expect HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n';
    await client.send(head);
    expect((await client.answer()).status).toBe(100);
    await client.send('ok');
    expect((await client.answer()).status).toBe(201);
  });

  it('describes itself in valid OpenAPI 3.1', async () => {
    const { body } = await ask('/openapi.json');
    const { valid, errors } = await new Validator().validate(body as Record<string, unknown>);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    const { openapi, paths } = body as { openapi: string; paths: Record<string, Record<string, unknown>> };
    expect(openapi).toBe('3.1.0');
    expect(Object.keys(paths['/channels/{channel}']!).sort()).toEqual(['delete', 'get', 'head', 'post']);
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/publish', '/stream', '/channels', '/livez']),
    );
  });

  it('tells operators how it is', async () => {
    expect((await ask('/livez')).status).toBe(200);
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } });
    const { headers, body } = await ask('/metrics');
    expect(headers.get('content-type')).toMatch(/^text\/plain/);
    expect(body).toMatch(/^everywire_published_total [1-9]/m);
    expect(body).toMatch(/^everywire_connections\{transport="poll"\} \d/m);
    expect(body).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect(body).toMatch(/^everywire_store_up 1$/m);
  });

  it('explains the type of a problem', async () => {
    const { body } = await ask('/nothing');
    const { type } = body as { type: string };
    expect(await ask(type)).toMatchObject({ status: 200 });
    expect((await ask('/problems/constructor')).status).toBe(404);
  });
});

describe('the optional parts', () => {
  let rig: Rig;
  afterEach(async () => {
    await rig.stop();
    expect(rig.complaints).toEqual([]);
  });

  it('serves the pages it is given', async () => {
    rig = await startRig({
      prepare: (front) => front.page('/', 'text/html; charset=utf-8', '<!doctype html>'),
    });
    const response = await fetch(`${rig.front.url}/`);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await response.text()).toBe('<!doctype html>');
    expect((await fetch(`${rig.front.url}/`, { method: 'PUT' })).headers.get('allow')).toBe(
      'GET, HEAD, OPTIONS',
    );
  });

  it('has no view of a transport that is off', async () => {
    rig = await startRig({ transports: ['stream'] });
    const asked = async (accept: string): Promise<Response> =>
      fetch(`${rig.front.url}/channels/x`, { headers: { accept } });
    const refused = await asked('text/event-stream');
    expect(refused.status).toBe(406);
    expect(await refused.json()).toMatchObject({ detail: 'Available here: application/x-ndjson.' });
    const served = await asked('*/*');
    expect(served.headers.get('content-type')).toBe('application/x-ndjson');
    await served.body!.cancel();
  });

  it('refuses new work while it drains, and says so to load balancers', async () => {
    rig = await startRig();
    await using kept = await openGet(rig.port, '/livez');
    expect((await kept.answer()).status).toBe(200);
    rig.front.drain();
    // A connection that only waited for its next request is closed.
    await kept.closed();
    const { status, headers } = await fetch(`${rig.front.url}/channels/x`, { method: 'POST', body: 'x' });
    expect(status).toBe(503);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(headers.get('connection')).toBe('close');
    expect((await fetch(`${rig.front.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${rig.front.url}/livez`)).status).toBe(200);
  });

  it('answers 408 and closes when a head comes at a byte a second', async () => {
    rig = await startRig({ limits: { handshakeTimeoutMs: 300 } });
    for (const start of ['', 'G', 'GET /livez HTTP/1.1\r\nHost: local']) {
      await using client = new WireClient(rig.port);
      await client.send(start);
      expect((await client.answer()).status).toBe(408);
      client.socket.end();
      await client.closed();
    }
  });

  it('answers 408 and closes when a body comes too slowly', async () => {
    rig = await startRig({ limits: { handshakeTimeoutMs: 300 } });
    await using client = new WireClient(rig.port);
    await client.send('POST /channels/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\nx');
    const answer = await client.answer();
    expect(answer.status).toBe(408);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'timed_out' });
    client.socket.end();
    await client.closed();
  });

  it('stores nothing when the peer hangs up within its body', async () => {
    rig = await startRig();
    const client = new WireClient(rig.port);
    await client.send('POST /channels/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    client.socket.destroy();
    await client.closed();
    const response = await fetch(`${rig.front.url}/channels`);
    expect(await response.json()).toEqual({ channels: [] });
  });

  it('lets pages of listed origins in, and no others', async () => {
    const origin = 'https://app.example';
    rig = await startRig({ front: { allowedOrigins: new AllowedOrigins([origin]) } });
    const asked = (from: string, accept = '*/*'): Promise<Response> =>
      fetch(`${rig.front.url}/channels/x`, { headers: { origin: from, accept } });
    const allowed = await asked(origin);
    expect(allowed.headers.get('access-control-allow-origin')).toBe(origin);
    expect(allowed.headers.get('vary')).toBe('Accept, Origin');
    const stream = await asked(origin, 'text/event-stream');
    expect(stream.headers.get('access-control-allow-origin')).toBe(origin);
    await stream.body!.cancel();
    for (const other of [
      'null',
      'https://app.example.evil.com',
      'http://app.example',
      'https://app.example:8443',
    ]) {
      expect((await asked(other)).status).toBe(403);
    }
    expect((await asked(rig.front.url)).status).toBe(200);
    const preflight = await fetch(`${rig.front.url}/channels/x`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'everywire-event',
      },
    });
    expect(preflight.headers.get('access-control-allow-headers')).toBe('everywire-event');
  });
});
