import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
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

/** The same by the client of grpc-web, with the messages as bytes: fields 1 and 2 of a request are channel and data. */
const textProgram = `async (baseUrl) => {
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = grpcWeb;
  const client = new GrpcWebClientBase({ format: 'text' });
  const bytes = (text) => [...new TextEncoder().encode(text)];
  const field = (number, value) => [number * 8 + 2, value.length, ...value];
  const method = (name, type) => new MethodDescriptor('/everywire.v1.Messaging/' + name, type, Array, Array,
    (fields) => Uint8Array.from(fields), (read) => [...read]);
  const publish = (channel, data) => new Promise((resolve, reject) =>
    client.rpcCall(baseUrl + '/everywire.v1.Messaging/Publish', [...field(1, bytes(channel)), ...field(2, bytes(data))], {},
      method('Publish', MethodType.UNARY), (error, answer) => (error ? reject(error) : resolve(answer))));
  const answer = await publish('text', 'hello');
  // Field 2 of the answer.
  const offset = answer[2 + answer[1] + 1];
  const seen = [];
  const request = [...field(1, bytes('text')), ...field(3, bytes('earliest'))];
  await new Promise((resolve, reject) => {
    const stream = client.serverStreaming(baseUrl + '/everywire.v1.Messaging/Subscribe', request, {},
      method('Subscribe', MethodType.SERVER_STREAMING));
    stream.on('error', reject);
    stream.on('data', (message) => {
      const text = new TextDecoder().decode(Uint8Array.from(message));
      const word = ['hello', 'live'].find((one) => text.includes(one));
      seen.push(message[0] === 10 ? 'subscribed' : 'message ' + word);
      if (word === 'hello') void publish('text', 'live').catch(reject);
      if (word === 'live') { stream.cancel(); resolve(); }
    });
  });
  const refused = await publish('$no', 'x').then(() => 0, ({ code }) => code);
  return { offset, seen, refused };
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

  it('the client of grpc-web in text, which is what it uses for streams', async () => {
    const server = await startTestServer({ allowedOrigins: [origin] });
    try {
      const client = await readFile(createRequire(import.meta.url).resolve('grpc-web'), 'utf8');
      await tab.addScriptTag({
        content: `{ const module = { exports: {} }, exports = module.exports; ${client}; window.grpcWeb = module.exports; }`,
      });
      expect(await tab.evaluate(`(${textProgram})(${JSON.stringify(server.url)})`)).toEqual({
        offset: 1,
        seen: ['subscribed', 'message hello', 'message live'],
        refused: 3,
      });
    } finally {
      await server.stop();
    }
  });

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
