import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mint, testSecret } from '../support/tokens.ts';
import { TestAuthority } from './tls/certificates.ts';
import { startSecureServer, type SecureServer } from './tls/server.ts';

/** What tells pages apart over TLS: the server's own origin is https there, on HTTP/2 without a Host. */
const listed = 'https://app.example';
const cookieName = '__Host-session';

let authority: TestAuthority;
let ca: string;
let server: SecureServer;
let token: string;
let session: ClientHttp2Session;

beforeAll(async () => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
  const config = { auth: { jwt: { secret: testSecret }, cookie: cookieName }, allowedOrigins: [listed] };
  server = await startSecureServer(authority.issueForLoopback(), config);
  token = await mint(testSecret, { sub: 'ann', admin: true });
  session = connectHttp2(server.url, { ca });
  await once(session, 'connect');
});
afterAll(async () => {
  session.close();
  await server.stop();
  authority.dispose();
});

type Fields = Readonly<Record<string, string | readonly string[]>>;
type Ask = (target: string, fields: Fields) => Promise<number>;

/** A GET over HTTP/1.1; with an upgrade field, a handshake. */
const byHttp1: Ask = (target, fields) =>
  new Promise((resolve, reject) => {
    const sent = request(server.url + target, {
      ca,
      headers: fields as Record<string, string>,
      agent: false,
    });
    sent.on('error', reject).on('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode!);
    });
    sent.on('response', (answer) => {
      answer.destroy();
      resolve(answer.statusCode!);
    });
    sent.end();
  });

const byHttp2: Ask = async (target, fields) => {
  const stream = session.request({ ':path': target, ...(fields as Record<string, string>) });
  const [head] = (await once(stream, 'response')) as [{ readonly ':status': number }];
  stream.close();
  return head[':status'];
};

const handshake = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

const entries: readonly (readonly [
  what: string,
  ask: Ask,
  target: string,
  fields: Fields,
  welcome: number,
])[] = [
  ['polling over HTTP/1.1', byHttp1, '/channels/x', {}, 200],
  ['polling over HTTP/2', byHttp2, '/channels/x', {}, 200],
  ['SSE over HTTP/2', byHttp2, '/channels/x', { accept: 'text/event-stream' }, 200],
  ['Socket.IO over HTTP/2', byHttp2, '/socket.io/?EIO=4&transport=polling', {}, 200],
  ['a raw WebSocket', byHttp1, '/channels/x', handshake, 101],
  ['/ws', byHttp1, '/ws', handshake, 101],
];

describe.each(entries)('%s', (_, ask, target, fields, welcome) => {
  const bearer = (): Fields => ({ authorization: `Bearer ${token}` });

  it('lets in programs, its own pages and pages of listed origins', async () => {
    expect(await ask(target, { ...fields, ...bearer() })).toBe(welcome);
    for (const origin of [server.url, listed])
      expect(await ask(target, { ...fields, ...bearer(), origin })).toBe(welcome);
  });

  it('takes the cookie from those pages', async () => {
    const cookie = `${cookieName}=${token}`;
    for (const origin of [server.url, listed])
      expect(await ask(target, { ...fields, cookie, origin })).toBe(welcome);
    expect(await ask(target, { ...fields, cookie, 'sec-fetch-site': 'same-origin' })).toBe(welcome);
  });

  it('refuses all others, also its own address without encryption', async () => {
    const own = server.url.replace('https', 'http');
    for (const origin of [own, 'http://app.example', 'https://evil.com', 'null', ''])
      expect([origin, await ask(target, { ...fields, ...bearer(), origin })]).toEqual([origin, 403]);
    const two = await ask(target, { ...fields, ...bearer(), origin: [listed, 'https://evil.com'] });
    expect(two).toBe(403);
  });
});
