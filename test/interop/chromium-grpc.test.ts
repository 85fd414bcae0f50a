import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { describeInChromium, launchChromium } from './chromium.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const modules = (name: string, parts: readonly string[]): (readonly [string, string])[] => [
  [name, `/node_modules/${name}/dist/esm/index.js`],
  ...parts.map((part) => [`${name}/${part}`, `/node_modules/${name}/dist/esm/${part}/index.js`] as const),
];
const imports = Object.fromEntries([
  ...modules('@connectrpc/connect-web', []),
  ...modules('@connectrpc/connect', ['protocol', 'protocol-connect', 'protocol-grpc-web']),
  ...modules('@bufbuild/protobuf', ['codegenv2', 'wire', 'wkt', 'reflect']),
]);
const generated = '/packages/wires/src/grpc/generated/everywire/v1/messaging_pb.js';
const page = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>`;

/** Serves the page, and the modules as npm has them. */
async function servePages(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url!, 'http://localhost').pathname);
    if (!path.endsWith('.js')) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
      return;
    }
    readFile(join(root, path)).then(
      (bytes) => response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** What a page does with the service: everything that browsers can. */
const program = `async ({ baseUrl, kind, generated }) => {
  const { createClient, ConnectError } = await import('@connectrpc/connect');
  const web = await import('@connectrpc/connect-web');
  const { Messaging } = await import(generated);
  const binary = kind !== 'Connect in JSON';
  const transport = kind.startsWith('Connect')
    ? web.createConnectTransport({ baseUrl, useBinaryFormat: binary })
    : web.createGrpcWebTransport({ baseUrl, useBinaryFormat: binary });
  const client = createClient(Messaging, transport);
  const channel = 'chromium/' + kind.replaceAll(' ', '-');
  const text = (data) => new TextDecoder().decode(data);
  const publish = (data) => client.publish({ channel, data: new TextEncoder().encode(data) });
  const seen = [];
  try {
    seen.push(String((await publish('한글')).offset));
    const page = await client.read({ channel, since: 'earliest' });
    seen.push(text(page.messages[0].data));
    for await (const { kind } of client.subscribe({ channels: [channel], since: 'earliest' })) {
      seen.push(kind.case === 'message' ? text(kind.value.data) : kind.case);
      if (seen.at(-1) === '한글') await publish('live');
      if (seen.at(-1) === 'live') break;
    }
    await client.publish({ channel: '$no' });
  } catch (caught) {
    const { code } = ConnectError.from(caught);
    seen.push('refused ' + code);
  }
  return seen;
}`;

describeInChromium('connect-web in Chromium', () => {
  let browser: Browser;
  let pages: Server;
  let origin: string;
  let tab: Page;

  beforeAll(async () => {
    browser = await launchChromium();
    pages = await servePages();
    origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
    tab = await browser.newPage();
    await tab.goto(origin);
  });
  afterAll(async () => {
    await browser.close();
    pages.closeAllConnections();
    pages.close();
  });

  async function run(server: TestServer, kind: string): Promise<unknown> {
    const argument = JSON.stringify({ baseUrl: server.url, kind, generated });
    return tab.evaluate(`(${program})(${argument})`);
  }

  it.each(['Connect', 'Connect in JSON', 'gRPC-Web'])(
    '%s, from a page whose origin is listed',
    async (kind) => {
      const server = await startTestServer({ allowedOrigins: [origin] });
      try {
        // 3 is INVALID_ARGUMENT.
        expect(await run(server, kind)).toEqual(['1', '한글', 'subscribed', '한글', 'live', 'refused 3']);
      } finally {
        await server.stop();
      }
    },
  );

  it.each([
    ['of another origin than those listed', ['http://example.com']],
    ['while none is listed', undefined],
  ])('nothing is stored for a page %s', async (_what, allowedOrigins) => {
    const server = await startTestServer(allowedOrigins === undefined ? {} : { allowedOrigins });
    try {
      for (const kind of ['Connect', 'Connect in JSON', 'gRPC-Web'])
        expect(await run(server, kind)).toEqual([expect.stringMatching(/^refused /)]);
      const answer = await fetch(`${server.url}/channels?filter=chromium/**`);
      expect(await answer.json()).toMatchObject({ channels: [] });
    } finally {
      await server.stop();
    }
  });
});
