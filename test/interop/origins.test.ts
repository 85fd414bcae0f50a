import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret } from '../support/tokens.ts';

/**
 * Every way in that a page in a browser can try, times every origin that is not quite the listed one. The token is good
 * throughout, so that nothing but the origin can be what is refused.
 */
const listed = 'https://app.example';
const cookieName = 'session';

const strangers: Readonly<Record<string, (own: string) => readonly string[]>> = {
  null: () => ['null'],
  'another port': () => [`${listed}:8443`],
  'http for https': () => ['http://app.example'],
  'https and another port': (own) => [`${own.replace('http', 'https')}1`],
  'the name as a prefix': () => ['https://app.example.evil.com'],
  'the name in the path': () => ['https://evil.com/app.example'],
  'a trailing dot': () => ['https://app.example.'],
  'a punycode twin': () => ['https://xn--pp-7ec.example'],
  nothing: () => [''],
  'two fields': () => [listed, 'https://evil.com'],
  'user info': () => ['https://app.example@evil.com'],
  'white space': () => ['https://app .example'],
  'a sub-domain': () => ['https://www.app.example'],
};

interface Entry {
  readonly method: 'GET' | 'POST' | 'OPTIONS';
  readonly target: string;
  readonly fields?: readonly string[];
  readonly body?: string;
  /** Status for an allowed client. */
  readonly welcome: number;
  /** Status without a token, where the handshake is what asks for it; absent: it is shown later. */
  readonly withoutToken?: number;
  /** `Access-Control-*` are of meaning to browsers here. */
  readonly isCors: boolean;
  /** A configured cookie counts. */
  readonly takesCookie?: boolean;
}

const upgrade = (target: string, protocol?: string): Entry => ({
  method: 'GET',
  target,
  fields: [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
  ],
  welcome: 101,
  isCors: false,
});
const http = (method: 'GET' | 'POST', target: string, welcome: number, more: Partial<Entry> = {}): Entry => ({
  method,
  target,
  welcome,
  withoutToken: 401,
  isCors: true,
  takesCookie: true,
  ...more,
});
const preflight = (target: string, method: string): Entry => ({
  method: 'OPTIONS',
  target,
  fields: [`Access-Control-Request-Method: ${method}`, 'Access-Control-Request-Headers: authorization'],
  welcome: 204,
  isCors: true,
});
const json = ['Content-Type: application/json'];
const webProcedure = '/everywire.v1.Messaging/Publish';

const entries: Readonly<Record<string, Entry>> = {
  polling: http('GET', '/channels/x', 200),
  'several channels': http('GET', '/stream?channel=x&wait=1ms', 200),
  streaming: http('GET', '/channels/x', 200, { fields: ['Accept: application/x-ndjson'] }),
  SSE: http('GET', '/channels/x', 200, { fields: ['Accept: text/event-stream'] }),
  'a simple POST': http('POST', '/channels/x', 201, { fields: ['Content-Type: text/plain'], body: 'x' }),
  'POST /publish': http('POST', '/publish', 200, { fields: json, body: '[{"channel":"x","data":1}]' }),
  'the list of channels': http('GET', '/channels', 200),
  'POST /tickets': http('POST', '/tickets', 201),
  'POST /tokens/revoke': http('POST', '/tokens/revoke', 200, { fields: json, body: '{"jti":"unused"}' }),
  'the list of webhooks': http('GET', '/webhooks', 200),
  'a preflight of a channel': preflight('/channels/x', 'POST'),
  'a preflight of /tickets': preflight('/tickets', 'POST'),
  'a preflight of /tokens/revoke': preflight('/tokens/revoke', 'POST'),
  'a preflight of a webhook': preflight('/webhooks/x', 'PATCH'),
  'a preflight of Connect': preflight(webProcedure, 'POST'),
  'a preflight of Socket.IO': preflight('/socket.io/?EIO=4&transport=polling', 'POST'),
  'raw WebSocket': { ...upgrade('/channels/x'), withoutToken: 401, takesCookie: true },
  '/ws': { ...upgrade('/ws', 'everywire.v1'), withoutToken: 401, takesCookie: true },
  'MQTT over WebSocket': upgrade('/mqtt', 'mqtt'),
  'STOMP over WebSocket': upgrade('/stomp', 'v12.stomp'),
  'Socket.IO by WebSocket': upgrade('/socket.io/?EIO=4&transport=websocket'),
  'Socket.IO by polling': {
    method: 'GET',
    target: '/socket.io/?EIO=4&transport=polling',
    welcome: 200,
    isCors: true,
    takesCookie: true,
  },
  Connect: http('POST', webProcedure, 200, {
    fields: [...json, 'Connect-Protocol-Version: 1'],
    body: '{"channel":"x","data":"eA=="}',
  }),
  'gRPC-Web': {
    method: 'POST',
    target: webProcedure,
    fields: ['Content-Type: application/grpc-web+proto', 'X-Grpc-Web: 1'],
    // One message: the channel x.
    body: '\0\0\0\0\x03\x0a\x01x',
    // gRPC reports errors in the trailers.
    welcome: 200,
    isCors: true,
    takesCookie: true,
  },
};

let server: TestServer;
let token: string;
let port: number;

beforeAll(async () => {
  server = await startTestServer({
    auth: { jwt: { secret: testSecret }, cookie: cookieName },
    allowedOrigins: [listed],
  });
  port = Number(new URL(server.url).port);
  token = await mint(testSecret, { sub: 'ann', admin: true });
});
afterAll(() => server.stop());

interface Head {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
}

/** Sends exactly these fields, which no HTTP library would, and reads the head of the answer. */
function ask({ method, target, fields = [], body = '' }: Entry, more: readonly string[]): Promise<Head> {
  const length = method === 'POST' ? [`Content-Length: ${Buffer.byteLength(body, 'latin1')}`] : [];
  const lines = [`${method} ${target} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...fields, ...more, ...length];
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1');
    socket.on('error', reject).on('end', () => reject(new Error(`no head came: ${received}`)));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.removeAllListeners('end').destroy();
      const [first, ...rest] = received.slice(0, end).split('\r\n');
      const pairs = rest.map((line): [string, string] => {
        const at = line.indexOf(':');
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
      });
      resolve({ status: Number(first!.split(' ')[1]), fields: new Map(pairs) });
    });
  });
}

const bearer = (): string => `Authorization: Bearer ${token}`;
const cookie = (): string => `Cookie: theme=dark; ${cookieName}=${token}`;

describe.each(Object.entries(entries))('%s', (_, entry) => {
  it.each(Object.keys(strangers))('refuses %s', async (what) => {
    const origins = strangers[what]!(server.url).map((origin) => `Origin: ${origin}`);
    const { status, fields } = await ask(entry, [...origins, bearer(), cookie()]);
    expect(status).toBe(403);
    expect([...fields.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  it('lets the listed one in, and tells its browser', async () => {
    const { status, fields } = await ask(entry, [`Origin: ${listed}`, bearer()]);
    expect(status).toBe(entry.welcome);
    if (!entry.isCors) return;
    expect(fields.get('access-control-allow-origin')).toBe(listed);
    expect(fields.get('vary')).toContain('Origin');
  });

  it('lets the listed one in as another browser may spell it', async () => {
    for (const origin of ['https://APP.example', 'https://app.example:443']) {
      const { status, fields } = await ask(entry, [`Origin: ${origin}`, bearer()]);
      expect(status).toBe(entry.welcome);
      if (entry.isCors) expect(fields.get('access-control-allow-origin')).toBe(origin);
    }
  });

  it('lets pages of this server in', async () => {
    const { status } = await ask(entry, [`Origin: ${server.url}`, bearer()]);
    expect(status).toBe(entry.welcome);
  });

  it('lets programs in, which send no origin, for their token alone', async () => {
    expect((await ask(entry, [bearer()])).status).toBe(entry.welcome);
    const { withoutToken } = entry;
    if (withoutToken === undefined) return;
    for (const shown of [[], [cookie()], [cookie(), 'Sec-Fetch-Site: cross-site']]) {
      const { status, fields } = await ask(entry, shown);
      expect([status, fields.get('access-control-allow-origin')]).toEqual([withoutToken, undefined]);
    }
  });
});

describe.each(Object.entries(entries).filter(([, entry]) => entry.takesCookie === true))('%s', (_, entry) => {
  it('takes the cookie from the listed origin, and where the browser vouches for its own', async () => {
    const fromListed = await ask(entry, [`Origin: ${listed}`, cookie()]);
    expect(fromListed.status).toBe(entry.welcome);
    if (entry.isCors) expect(fromListed.fields.get('access-control-allow-credentials')).toBe('true');
    const own = await ask(entry, ['Sec-Fetch-Site: same-origin', cookie()]);
    expect([own.status, own.fields.get('access-control-allow-origin')]).toEqual([entry.welcome, undefined]);
  });
});

it('has thirteen strangers', () => {
  expect(Object.keys(strangers)).toHaveLength(13);
});
