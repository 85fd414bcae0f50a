import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret } from '../support/tokens.ts';
import { WireClient, type Answer } from '../clients/http/wire-client.ts';

const upgrade =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** Every way in that a page in a browser has: request line, fields and body. */
const waysIn: readonly (readonly [what: string, line: string, fields: string, body: string])[] = [
  ['publishing', 'POST /channels/a', 'Content-Length: 1\r\n', 'x'],
  ['a page', 'GET /channels/a', '', ''],
  ['an event stream', 'GET /channels/a', 'Accept: text/event-stream\r\n', ''],
  ['a raw WebSocket', 'GET /channels/a', upgrade, ''],
  ['/ws', 'GET /ws', `${upgrade}Sec-WebSocket-Protocol: everywire.v1\r\n`, ''],
  ['MQTT', 'GET /mqtt', `${upgrade}Sec-WebSocket-Protocol: mqtt\r\n`, ''],
  ['STOMP', 'GET /stomp', `${upgrade}Sec-WebSocket-Protocol: v12.stomp\r\n`, ''],
  ['Socket.IO by WebSocket', 'GET /socket.io/?EIO=4&transport=websocket', upgrade, ''],
  ['Socket.IO by polling', 'GET /socket.io/?EIO=4&transport=polling', '', ''],
  [
    'Connect',
    'POST /everywire.v1.Messaging/Publish',
    'Content-Type: application/json\r\nContent-Length: 29\r\n',
    '{"channel":"a","data":"eA=="}',
  ],
  ['a webhook', 'GET /webhooks', '', ''],
];

async function ask(
  server: TestServer,
  [, line, fields, body]: (typeof waysIn)[number],
  host: string,
): Promise<Answer> {
  await using client = new WireClient(Number(new URL(server.url).port));
  const own = `Origin: http://${host}\r\n`;
  await client.send(`${line} HTTP/1.1\r\nHost: ${host}\r\n${own}${fields}\r\n${body}`);
  await client.until(({ received }) => received.includes('\r\n\r\n'));
  const status = Number(client.received.slice(9, 12));
  return status === 101 || client.received.includes('event-stream')
    ? { status, headers: new Map(), body: '' }
    : await client.answer();
}

const said: { readonly fields: object; readonly text: string }[] = [];
const note = (fields: object, text: string): void => void said.push({ fields, text });
const log = { debug: () => undefined, info: note, warn: note, error: note };

describe('a server on loopback that asks for no token', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ allowedOrigins: ['https://named.example'] }, { log });
  });
  afterAll(() => server.stop());

  it.each(waysIn)('refuses %s by a name that a page may have made resolve to it', async (...way) => {
    for (const host of ['rebound.example', 'localhost.rebound.example:8080', '127.0.0.1.nip.io']) {
      const answer = await ask(server, way, host);
      expect(answer.status).toBe(403);
      expect(JSON.parse(answer.body)).toMatchObject({
        code: 'forbidden',
        title: 'The host name is not allowed.',
        detail: expect.stringContaining(`add http://${host} to allowedOrigins`) as string,
      });
    }
  });

  it.each(waysIn)('takes %s by the names of its machine, and by one that is configured', async (...way) => {
    for (const host of ['localhost', '127.0.0.1:8080', '[::1]:8080', 'app.localhost', 'named.example'])
      expect((await ask(server, way, host)).status).toBeLessThan(300);
  });

  it('says and logs which setting lets a page of another origin in', async () => {
    const answer = await fetch(`${server.url}/channels/a`, {
      headers: { Origin: 'https://stranger.example' },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('www-authenticate')).toBeNull();
    expect(await answer.json()).toMatchObject({
      code: 'forbidden',
      title: 'The origin of the page is not allowed.',
    });
    expect(said).toContainEqual({
      fields: { origin: 'https://stranger.example' },
      text: expect.stringContaining('allowedOrigins') as string,
    });
  });
});

it('answers to every name when it asks for a token', async () => {
  const server = await startTestServer({ auth: { jwt: { secret: testSecret } } });
  try {
    const token = await mint(testSecret, { sub: 'ann', admin: true });
    const way = [
      'publishing',
      'POST /channels/a',
      `Authorization: Bearer ${token}\r\nContent-Length: 1\r\n`,
      'x',
    ] as const;
    expect((await ask(server, way, 'public.example')).status).toBe(201);
  } finally {
    await server.stop();
  }
});
