import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { startTestServer, type TestServer } from '../support/server.ts';
import { WireClient, type Answer } from '../clients/http/wire-client.ts';
import { hasNginx, startNginx } from './nginx.ts';

const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

async function get(port: number, path: string, fields: string): Promise<Answer> {
  await using client = new WireClient(port);
  await client.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`);
  return await client.answer();
}

describe('a WebSocket handshake that lost its Upgrade on the way', () => {
  let server: TestServer;
  let port: number;
  beforeAll(async () => {
    server = await startTestServer({});
    port = Number(new URL(server.url).port);
  });
  afterAll(() => server.stop());

  const paths = [
    '/channels/a',
    '/ws',
    '/mqtt',
    '/stomp',
    '/socket.io/?EIO=4&transport=websocket',
    '/nothing',
  ];
  it.each(
    paths.flatMap((path) => [
      [path, 'both', ''],
      [path, 'Upgrade', 'Connection: upgrade\r\n'],
      [path, 'Connection', 'Upgrade: websocket\r\n'],
    ]),
  )('hears so at %s without %s', async (path, _what, fields) => {
    const { status, headers, body } = await get(port, path, key + fields);
    expect([status, headers.get('upgrade'), headers.get('connection')]).toEqual([
      426,
      'websocket',
      'upgrade, close',
    ]);
    expect(JSON.parse(body)).toMatchObject({
      detail: expect.stringContaining('proxy_set_header Upgrade') as string,
    });
  });

  it.each([
    ['/ws', 400, ''],
    ['/ws', 426, `Connection: upgrade\r\nUpgrade: websocket\r\n${key.replace('13', '8')}`],
  ])('gets Upgrade for this connection in every answer of %s: %i', async (path, status, fields) => {
    const { headers, ...answer } = await get(port, path, fields);
    expect([answer.status, headers.get('upgrade')]).toEqual([status, 'websocket']);
    expect(headers.get('connection')).toMatch(/^upgrade\b/);
  });

  it.runIf(hasNginx)('hears so behind an nginx with its defaults', async () => {
    await using nginx = await startNginx(server.url);
    const said = await new Promise<string>((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${nginx.port}/ws`, 'everywire.v1');
      socket.on('error', () => undefined).on('open', () => reject(new Error('opened')));
      socket.on('unexpected-response', (_request, response) => {
        let text = `${response.statusCode} `;
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve(text));
      });
    });
    expect(said).toMatch(/^426 .*proxy_set_header Upgrade \$http_upgrade/);
  });
});

it('answers 304 to If-None-Match: * where there is something', async () => {
  const server = await startTestServer({});
  try {
    const ask = async (path: string): Promise<number> =>
      (await fetch(server.url + path, { headers: { 'If-None-Match': '*' } })).status;
    expect(await ask('/channels/a')).toBe(200);
    await fetch(`${server.url}/channels/a`, { method: 'POST', body: 'x' });
    expect([await ask('/channels/a'), await ask('/channels/a?since=earliest'), await ask('/')]).toEqual([
      304, 304, 304,
    ]);
    expect(await ask('/channels/b')).toBe(200);
  } finally {
    await server.stop();
  }
});

it('keeps idle connections for as long as the operator says', async () => {
  const server = await startTestServer({ http: { keepAlive: 620 } });
  try {
    const { headers } = await get(Number(new URL(server.url).port), '/livez', 'Connection: keep-alive\r\n');
    expect(headers.get('keep-alive')).toBe('timeout=620');
  } finally {
    await server.stop();
  }
});
