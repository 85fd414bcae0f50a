import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from './certificates.ts';
import { startSecureServer, type SecureServer } from './server.ts';

const bodyBytesPerSecondMin = 1_000;
const handshakeTimeoutMs = 1_000;
const kib = 1024;

let authority: TestAuthority;
let ca: string;
let server: SecureServer;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
  server = await startSecureServer(authority.issueForLoopback(), {
    limits: { bodyBytesPerSecondMin, handshakeTimeoutMs },
    allowedOrigins: ['https://app.example'],
  });
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});
afterAll(async () => {
  await server.stop();
  authority.dispose();
});

function open(more: Parameters<typeof connect>[1] = {}, url = server.url): ClientHttp2Session {
  const session = connect(url, { ca, ...more });
  session.on('error', () => undefined);
  sessions.push(session);
  return session;
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** RFC 9113 §7. */
  readonly code: number | undefined;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: IncomingHttpHeaders = {};
  let body = '';
  stream.on('response', (given) => (headers = given));
  stream.on('data', (bytes: Buffer) => (body += bytes.toString()));
  stream.on('error', () => undefined);
  // Node's client tells of the close of a stream only when it has sent all that it was given.
  await new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
  return { headers, body, code: stream.rstCode };
}

function get(session: ClientHttp2Session, path: string, more: OutgoingHttpHeaders = {}): Promise<Answer> {
  return answerOf(session.request({ ':path': path, ...more }));
}

function post(
  session: ClientHttp2Session,
  path: string,
  body: string | Buffer,
  more: OutgoingHttpHeaders = {},
): Promise<Answer> {
  const stream = session.request({
    ':path': path,
    ':method': 'POST',
    'content-type': 'text/plain',
    ...more,
  });
  stream.end(body);
  return answerOf(stream);
}

const status = ({ headers }: Answer): number | undefined => headers[':status'] as number | undefined;
const codeOf = ({ body }: Answer): unknown => (JSON.parse(body) as { readonly code?: unknown }).code;

/** An endless answer, whose first bytes have come. */
class Followed {
  readonly stream: ClientHttp2Stream;
  readonly closed: Promise<unknown>;
  text = '';
  #look: () => void = () => undefined;

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    stream.on('error', () => undefined);
    stream.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.#look();
    });
    this.closed = new Promise((resolve) => stream.once('close', resolve));
  }

  static async begin(
    session: ClientHttp2Session,
    path: string,
    accept = 'text/event-stream',
  ): Promise<Followed> {
    const followed = new Followed(session.request({ ':path': path, accept }));
    await followed.until((text) => text !== '');
    return followed;
  }

  async until(matches: (text: string) => boolean): Promise<void> {
    while (!matches(this.text)) await new Promise<void>((resolve) => (this.#look = resolve));
  }
}

async function metric(session: ClientHttp2Session, name: string): Promise<number> {
  const { body } = await get(session, '/metrics');
  return body
    .split('\n')
    .filter((line) => line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

describe('requests', () => {
  it('are answered as those of HTTP/1.1 are, refusals included', async () => {
    const session = open();
    expect(status(await post(session, '/channels/a', 'hello'))).toBe(201);
    const page = await get(session, '/channels/a');
    expect([status(page), page.headers['everywire-continuity']]).toEqual([200, 'exact']);
    expect(JSON.parse(page.body)).toMatchObject({ messages: [{ data: 'hello' }] });
    const unchanged = await get(session, '/channels/a', { 'if-none-match': page.headers.etag });
    expect([status(unchanged), unchanged.body]).toEqual([304, '']);
    const head = await answerOf(session.request({ ':path': '/channels/a', ':method': 'HEAD' }));
    expect([status(head), head.body]).toEqual([200, '']);
    expect(status(await get(session, '/nowhere'))).toBe(404);
    expect(status(await get(session, '/ws'))).toBe(400);
    const method = await answerOf(
      session.request({ ':path': '/publish', ':method': 'PUT' }, { endStream: true }),
    );
    expect([status(method), method.headers.allow]).toEqual([405, 'OPTIONS, POST']);
    expect(status(await get(session, '/channels/%zz'))).toBe(400);
    expect(status(await get(session, '/channels/a?limit=0'))).toBeGreaterThanOrEqual(400);
  });

  it('of CORS get the fields of CORS', async () => {
    const session = open();
    const listed = await get(session, '/channels/a', { origin: 'https://app.example' });
    expect([status(listed), listed.headers['access-control-allow-origin']]).toEqual([
      200,
      'https://app.example',
    ]);
    expect(status(await get(session, '/channels/a', { origin: server.url }))).toBe(200);
    for (const origin of ['https://evil.example', server.url.replace('https', 'http'), 'null'])
      expect(status(await get(session, '/channels/a', { origin })), origin).toBe(403);
  });

  it('that expect 100-continue get it, or a refusal in its place', async () => {
    const session = open();
    const stream = session.request({ ':path': '/channels/a', ':method': 'POST', expect: '100-continue' });
    const answer = answerOf(stream);
    await once(stream, 'continue');
    stream.end('hello');
    expect(status(await answer)).toBe(201);
    const large = session.request({
      ':path': '/channels/a',
      ':method': 'POST',
      expect: '100-continue',
      'content-length': 10_000_000,
    });
    expect(status(await answerOf(large))).toBe(413);
    expect(status(await post(session, '/channels/a', 'x', { expect: 'miracles' }))).toBe(417);
  });

  it.each([
    ['Host and :authority that differ', { host: 'other.example', ':authority': 'localhost' }, 400],
    ['an :authority that is no host', { ':authority': 'user@localhost' }, undefined],
    ['a target with #', { ':path': '/channels/a#b' }, 400],
    ['a target that is too long', { ':path': `/channels/${'a'.repeat(17 * kib)}` }, 431],
    ['a GET whose length is not that of its body', { 'content-length': '1' }, undefined],
  ])('%s is refused', async (_name, more, expected) => {
    const session = open();
    const answer = await answerOf(session.request({ ':path': '/channels/a', ...more }));
    expect(status(answer)).toBe(expected);
    if (expected === undefined) expect(answer.code).not.toBe(constants.NGHTTP2_NO_ERROR);
    expect(status(await get(open(), '/livez'))).toBe(200);
  });

  it('with as many fields as are allowed are served, and with more are not', async () => {
    const fields = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, 'a']));
    expect(status(await get(open(), '/livez', fields(100)))).toBe(200);
    const answer = await get(open(), '/livez', fields(101));
    expect([status(answer), answer.code]).toEqual([undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM]);
    const large = await get(open(), '/livez', { 'x-a': 'a'.repeat(17 * kib) });
    expect(status(large)).toBe(431);
  });

  it('with too large a body are refused by its length, and while it comes', async () => {
    const session = open();
    const announced = await post(session, '/channels/a', Buffer.alloc(1025 * kib), {
      'content-length': 1025 * kib,
    });
    expect([status(announced), codeOf(announced)]).toEqual([413, 'too_large']);
    const counted = await post(session, '/channels/a', Buffer.alloc(1280 * kib));
    expect([status(counted), codeOf(counted)]).toEqual([413, 'too_large']);
    expect(status(await post(session, '/channels/a', Buffer.alloc(1024 * kib)))).toBe(201);
  });

  it('with a body that comes too slowly are refused, and the connection stays open', async () => {
    const session = open();
    const stream = session.request({ ':path': '/channels/a', ':method': 'POST' });
    const answer = answerOf(stream);
    stream.write('x');
    const slow = await answer;
    expect([status(slow), codeOf(slow)]).toEqual([408, 'timed_out']);
    expect(status(await get(session, '/livez'))).toBe(200);
  });

  it('of many streams at once are held to the limit, which is announced', async () => {
    const session = open();
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.maxConcurrentStreams).toBe(100);
    expect(session.remoteSettings.enableConnectProtocol).toBe(false);
  });
});

describe('endless answers', () => {
  it('carry the bytes that HTTP/1.1 carries, and end with the server', async () => {
    const other = await startSecureServer(authority.issueForLoopback());
    const session = open({}, other.url);
    const sse = await Followed.begin(session, '/channels/a');
    const lines = await Followed.begin(session, '/stream?channel=a&channel=b', 'application/x-ndjson');
    const posted = session.request({
      ':path': '/stream',
      ':method': 'POST',
      'content-type': 'application/json',
    });
    posted.end('{"channels":["a","b"]}');
    const byBody = new Followed(posted);
    await byBody.until((text) => text !== '');
    await post(session, '/channels/a', 'hello');
    await sse.until((text) => text.includes('data: hello\n\n'));
    for (const each of [lines, byBody]) await each.until((text) => text.includes('"data":"hello"'));
    const gone = new Promise((resolve) => session.once('close', resolve));
    await other.stop();
    await sse.closed;
    expect(sse.text).toContain(': goaway');
    expect(lines.text).toContain('"goaway"');
    expect(sse.stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    await gone;
  });

  it('end their subscription when the peer resets the stream', async () => {
    const session = open();
    const gauge = 'everywire_subscriptions';
    const before = await metric(session, gauge);
    const { stream } = await Followed.begin(session, '/channels/gone');
    const waiting = session.request({ ':path': '/channels/gone?wait=30s' });
    waiting.on('error', () => undefined);
    await expect.poll(() => metric(session, gauge)).toBe(before + 2);
    stream.close(constants.NGHTTP2_CANCEL);
    waiting.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => metric(session, gauge)).toBe(before);
  });

  it('hold a reader that does not read, do not hold others on its connection, and send everything when it reads again', async () => {
    // One stream's window, which a peer that does not read leaves full.
    const session = open({ settings: { initialWindowSize: 16 * kib } });
    const slow = await Followed.begin(session, '/channels/slow?format=envelope');
    const fast = await Followed.begin(session, '/channels/slow?format=envelope', 'application/x-ndjson');
    slow.stream.pause();
    const publisher = open();
    const count = 60;
    for (let at = 1; at <= count; at += 1)
      expect(status(await post(publisher, '/channels/slow', `${at} ${'x'.repeat(8 * kib)}`))).toBe(201);
    await fast.until((text) => text.includes(`"data":"${count} `));
    expect(slow.text).not.toContain(`"data":"${count} `);
    slow.stream.resume();
    await slow.until((text) => text.includes(`"data":"${count} `));
    const { text } = slow;
    const seen = [...text.matchAll(/"data":"(\d+) /g)].map(([, number]) => Number(number));
    expect(seen).toEqual(Array.from({ length: count }, (_, at) => at + 1));
  });
});

describe('a peer that does not mean well', () => {
  it('is cut when it resets one request after another', async () => {
    const session = open();
    const gone = new Promise((resolve) => session.once('close', resolve));
    await once(session, 'connect');
    for (let at = 0; at < 300; at += 1) {
      if (session.destroyed || session.closed) break;
      const stream = session.request({ ':path': '/channels/a?wait=30s' });
      stream.on('error', () => undefined);
      // In a separate packet, so that the call has started.
      await new Promise((resolve) => setTimeout(resolve, 2));
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await gone;
    expect(status(await get(open(), '/livez'))).toBe(200);
  });

  it('is cut when it connects and asks for nothing', async () => {
    const session = open();
    const startedMs = performance.now();
    await new Promise((resolve) => session.once('close', resolve));
    expect(performance.now() - startedMs).toBeLessThan(handshakeTimeoutMs + 30_000);
  });
});

it('Socket.IO polls over it', async () => {
  const session = open();
  const opened = await get(session, '/socket.io/?EIO=4&transport=polling');
  expect(status(opened)).toBe(200);
  const { sid } = JSON.parse(opened.body.slice(1)) as { readonly sid: string };
  const at = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  expect((await post(session, at, '40', { 'content-type': 'text/plain' })).body).toBe('ok');
  expect((await get(session, at)).body).toMatch(/^40\{"sid":/);
  const poll = get(session, at);
  await post(session, at, '420["subscribe","sio"]', { 'content-type': 'text/plain' });
  expect((await poll).body).toMatch(/^430\[\{"ok":true/);
  expect(status(await post(session, at, 'x'.repeat(7_000 * kib), { 'content-type': 'text/plain' }))).toBe(
    413,
  );
});
