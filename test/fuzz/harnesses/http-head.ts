import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { EverywireError, parseCursor } from '@everywire/protocol';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { negotiate } from '../../../packages/server/src/http/accept.ts';
import { bearerToken } from '../../../packages/server/src/http/bearer.ts';
import { checkHead, targetPath } from '../../../packages/server/src/http/head-check.ts';
import { Callers } from '../../../packages/server/src/http/credentials.ts';
import { channelOfTarget, rawPath, rawQuery } from '../../../packages/server/src/http/percent.ts';
import { Query } from '../../../packages/server/src/http/query.ts';
import { encodingOf, readCallHead } from '../../../packages/server/src/transports/grpc/call-head.ts';
import { checkHandshake } from '../../../packages/server/src/websocket/handshake.ts';
import type { Harness } from '../harness.ts';
import { isTaken, takenOrRefused } from '../tools.ts';

const offers = [{ mediaTypes: ['application/json'] }, { mediaTypes: ['text/event-stream'] }];
const allowedOrigins = new Set(['https://app.example']);
const callers = new Callers({
  hub: { authenticate: () => Promise.reject(new Error('this harness has no authentication')) },
  allowedOrigins,
  cookie: 'session',
});

/** The head of a request as Node has it: a line, then fields; Latin-1, and Node has refused what is no field. */
export const harness: Harness = {
  name: 'http-head',
  inputBytesMax: 500,
  seeds: [
    'GET /channels/chat/room-1?after=1k3f9q2.1a2b.9f3c0d4e5a6b7c8d&limit=10&wait=30s\nHost: localhost:80\nAccept: text/event-stream;q=0.5, */*',
    'GET /stream?channel=a%2Fb&channel=%C3%A9&since=-5m\nHost: [::1]:8080\nOrigin: https://app.example',
    'POST /channels/%f0%9f%98%80\nHost: x\nContent-Length: 12\nAuthorization: Bearer abc.def.ghi',
    'GET /ws\nHost: h\nUpgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: everywire.v1, other\nOrigin: http://h',
    'POST /everywire.v1.Messaging/Publish\nte: trailers\ncontent-type: application/grpc+proto\ngrpc-timeout: 100m\nx-bin: AAEC,AwQ',
    'POST /publish\nHost: a\nTransfer-Encoding: chunked',
    'OPTIONS *\nHost: a',
    'GET /x?ticket=abc&token=def\nHost: a\nCookie: a=b; session=abc\nSec-Fetch-Site: same-origin',
    'GET /x\nHost: a\nCookie: session=abc\nOrigin: https://app.example',
    'GET /x\nHost: a\nCookie: session=abc; session=def\nOrigin: https://a',
    'GET /x\nHost: a\nCookie: session=abc\nAuthorization: Basic abc',
    'GET http://evil.example/channels/x\nHost: a\nHost: b',
    'GET /channels/%\nHost: a',
    'GET /x?a=%ff&b=+&&=&limit=0\nHost: a',
  ],
  dictionary: [
    'grpc-encoding: identity',
    'Origin: null',
    'limit=',
    'wait=',
    'after=',
    'channel=',
    '%2F',
    '%C3%A9',
    '%ff',
    ';q=0.1',
    'Expect: 100-continue',
  ],
  run: (input) => {
    const request = requestOf(input.toString('latin1'));
    const { headers } = request;
    const url = request.url ?? '';
    const refused = checkHead(request, defaultLimits);
    const handshake = checkHandshake(request, { allowedOrigins, protocols: ['everywire.v1'] });
    if (!(handshake instanceof EverywireError)) {
      assert.match(handshake.acceptKey, /^[A-Za-z0-9+/]{27}=$/);
      assert.ok(handshake.protocol === undefined || handshake.protocol === 'everywire.v1');
      const { origin, host } = headers;
      const isOwn = origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`;
      assert.ok(origin === undefined || allowedOrigins.has(origin) || isOwn, 'no page of another origin');
    }
    negotiate(headers.accept, offers);
    encodingOf(headers['content-type']);
    takenOrRefused(() => bearerToken(headers.authorization));
    isCallRead(headers);
    checkCredentials(request);

    const path = targetPath(url);
    assert.equal(rawPath(url).length + rawQuery(url).length + Number(url.includes('?')), url.length);
    const channel = takenOrRefused(() => channelOfTarget(path, '/channels/'));
    if (channel !== undefined) assert.ok(channel.isWellFormed(), 'a name is valid Unicode for any input');
    const isQuery = isTaken(() => readQuery(rawQuery(url)));
    return refused === undefined && channel !== undefined && isQuery;
  },
};

/** What a page of another origin makes a browser send counts for nothing. */
function checkCredentials(request: Request): void {
  const shown = takenOrRefused(() => callers.credentialsOf(request));
  const { authorization, cookie, origin, host, 'sec-fetch-site': site } = request.headers;
  if (shown?.token === undefined) return;
  if (authorization !== undefined) {
    assert.ok(authorization.includes(shown.token));
    return;
  }
  assert.equal(shown.ticket, undefined);
  assert.ok(cookie?.includes(`session=${shown.token}`));
  const isOwn = origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`;
  assert.ok(origin === undefined ? site === 'same-origin' : allowedOrigins.has(origin) || isOwn);
}

function readQuery(text: string): void {
  const query = new Query(text);
  for (const value of query.all('channel')) assert.ok(value.isWellFormed());
  const limit = query.count('limit', 1_000);
  if (limit !== undefined) assert.ok(Number.isSafeInteger(limit) && limit >= 1 && limit <= 1_000);
  const waitMs = query.durationMs('wait', 55_000);
  if (waitMs !== undefined) assert.ok(waitMs >= 0 && waitMs <= 55_000);
  query.choice('format', ['raw', 'envelope']);
  const after = query.one('after');
  if (after !== undefined) parseCursor(after);
}

/** The gRPC protocol wants `internal` for an invalid `grpc-timeout`. */
function isCallRead(headers: IncomingMessage['headers']): void {
  try {
    const { timeoutMs } = readCallHead(headers, undefined);
    if (timeoutMs !== undefined) assert.ok(timeoutMs > 0 && timeoutMs < 2 ** 31);
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
  }
}

type Request = Parameters<typeof checkHead>[0];

function requestOf(text: string): Request {
  const [first = '', ...lines] = text.split('\n');
  const [method = '', url = ''] = first.split(' ');
  const rawHeaders: string[] = [];
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (colon < 1 || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) continue;
    const value = line.slice(colon + 1).trim();
    rawHeaders.push(name, value);
    const key = name.toLowerCase();
    const known = fields.get(key);
    fields.set(key, known === undefined ? value : `${known}, ${value}`);
  }
  const headers = Object.fromEntries(fields) as IncomingMessage['headers'];
  const version = { socket: {}, httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 };
  return { method, url, headers, rawHeaders, ...version } as unknown as Request;
}
