import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { describeInChromium, launchChromium } from './chromium.ts';
import { post, ways } from './socketio-client.ts';

const package_ = createRequire(import.meta.url).resolve('socket.io-client/package.json');
const library = join(dirname(package_), 'dist', 'socket.io.js');

interface Seen {
  readonly data: unknown[];
  readonly recovered: boolean;
  readonly wire: string;
}

/** What a page does: follows a channel, publishes to it, and comes back after its connection broke. */
const scenario = `async ({ transports, channel }) => {
  const socket = io({ transports, reconnectionDelay: 10, reconnectionDelayMax: 50, forceNew: true });
  const data = [];
  const waiting = [];
  const until = (count) => new Promise((resolve) => waiting.push(() => data.length >= count && resolve()));
  socket.on('message', (value) => {
    data.push(value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value);
    for (const look of waiting) look();
  });
  const connected = () => new Promise((resolve) => socket.once('connect', resolve));
  await connected();
  await socket.emitWithAck('subscribe', channel);
  await socket.emitWithAck('publish', channel, { text: '안녕' });
  await socket.emitWithAck('publish', channel, new Uint8Array([0, 255, 7]).buffer);
  const three = until(3);
  document.title = 'ready';
  await three;
  const back = connected();
  socket.io.engine.close();
  await back;
  const four = until(4);
  await socket.emitWithAck('publish', channel, 'after');
  await four;
  const wire = socket.io.engine.transport.name;
  const { recovered } = socket;
  socket.close();
  return { data, recovered, wire };
}`;

describeInChromium('socket.io-client in Chromium', () => {
  let browser: Browser;
  let server: TestServer;
  let page: Page;

  beforeAll(async () => {
    browser = await launchChromium();
    server = await startTestServer({});
    page = await browser.newPage();
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
  });

  it.each(ways)('follows, publishes and recovers by $name', async ({ name, transports }) => {
    const channel = `chromium/${name.replace(/\W+/g, '-')}`;
    await page.goto(`${server.url}/livez`);
    await page.addScriptTag({ path: library });
    await page.evaluate(`document.title = ''`);
    const running = page.evaluate(`(${scenario})(${JSON.stringify({ transports, channel })})`);
    await page.waitForFunction(`document.title === 'ready'`);
    await post(server.url, channel, 'from elsewhere');
    const { data, recovered, wire } = (await running) as Seen;
    expect(data).toEqual([{ text: '안녕' }, [0, 255, 7], 'from elsewhere', 'after']);
    expect(recovered).toBe(true);
    expect(transports).toContain(wire);
  });

  it('may come from a page that is listed, and from no other', async () => {
    const elsewhere = await startTestServer({});
    const listed = await startTestServer({ allowedOrigins: [elsewhere.url] });
    try {
      await page.goto(`${elsewhere.url}/livez`);
      await page.addScriptTag({ path: library });
      const reach = (url: string, wires: readonly string[]): Promise<unknown> =>
        page.evaluate(`new Promise((done) => {
          const socket = io('${url}', { transports: ${JSON.stringify(wires)}, reconnection: false, forceNew: true });
          socket.on('connect', () => { socket.close(); done('connected'); });
          socket.on('connect_error', () => done('refused'));
        })`);
      for (const { transports } of ways) {
        expect(await reach(listed.url, transports)).toBe('connected');
        expect(await reach(server.url, transports)).toBe('refused');
      }
    } finally {
      await elsewhere.stop();
      await listed.stop();
    }
  });
});
