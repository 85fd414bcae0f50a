import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { UpgradeRouter, wantsWebSocket } from '../../src/http/upgrades.ts';

const servers: ReturnType<typeof createServer>[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function ask(router: UpgradeRouter, requestText: string): Promise<string> {
  const server = createServer({ shouldUpgradeCallback: wantsWebSocket }, (_, response) =>
    response.end('plain'),
  );
  servers.push(server);
  server.on('upgrade', (request, socket, head: Buffer) => router.handle(request, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(requestText);
  return text(socket);
}

const upgrade = (target: string, protocol = 'websocket') =>
  `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;

test('hands the socket to the route whose path matches, query aside', async () => {
  const router = new UpgradeRouter();
  router.add(
    (path) => path === '/other',
    (_, socket) => socket.end('other'),
  );
  router.add(
    (path) => path === '/ws',
    (request, socket) => socket.end(`taken ${request.url}`),
  );
  expect(await ask(router, upgrade('/ws?a=/other'))).toBe('taken /ws?a=/other');
  expect(await ask(router, upgrade('http://a/ws'))).toBe('taken http://a/ws');
  expect(router.knows('/ws')).toBe(true);
  expect(router.knows('/')).toBe(false);
});

test('answers 404 with a problem and closes where nothing upgrades', async () => {
  const answer = await ask(new UpgradeRouter(), upgrade('/nothing?x=1'));
  expect(answer).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
  expect(answer).toContain('Content-Type: application/problem+json');
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({
    status: 404,
    code: 'not_found',
    instance: '/nothing',
  });
});

test('an Upgrade to something else is ignored and the request answered as plain HTTP', async () => {
  const answer = await ask(
    new UpgradeRouter(),
    upgrade('/ws', 'h2c').replace('Upgrade\r\n', 'Upgrade, close\r\n'),
  );
  expect(answer).toMatch(/plain$/);
});
