import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Envelope } from '@everywire/protocol';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer } from '../support/server.ts';
import { describeInChromium, launchChromium } from './chromium.ts';
import { channel, surviveRestart } from './restart-scenario.ts';
import { ways } from './socketio-client.ts';

/** What browsers load: the library's own bundle. */
const bundle = readFileSync(
  createRequire(import.meta.url).resolve('socket.io-client/dist/socket.io.js'),
  'utf8',
);

describeInChromium("Chromium's socket.io-client", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  /** A page of the server's origin, with only the library as script. */
  async function openPage(http: string, complaints: string[]): Promise<Page> {
    const page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${http}/livez`);
    await page.addScriptTag({ content: bundle });
    return page;
  }

  it.each(ways)(
    'by $name comes back through kill -9 and restart, and misses nothing',
    async ({ transports }) => {
      const complaints: string[] = [];
      const pages: Page[] = [];
      await surviveRestart(async (http) => {
        const page = await openPage(http, complaints);
        pages.push(page);
        // Text, because this runs in the browser and the tests are not compiled for one.
        await page.evaluate(`
        window.opened = 0;
        window.received = [];
        window.socket = io({ transports: ${JSON.stringify(transports)}, reconnectionDelayMax: 1000 });
        socket.on('connect', async () => {
          if (opened > 0 && !socket.recovered) throw new Error('not recovered');
          if (opened === 0) await socket.emitWithAck('subscribe', '${channel}');
          opened += 1;
        });
        socket.on('message', (data, meta, cursor) => {
          if (meta.cursor !== cursor) throw new Error('the last argument is not the cursor');
          received.push({ ...meta, data });
        });
        undefined;
      `);
        return {
          opened: () => page.evaluate<number>('opened'),
          received: () => page.evaluate<readonly Envelope[]>('received'),
        };
      });
      const wire = await pages[0]!.evaluate<string>('socket.io.engine.transport.name');
      expect(wire).toBe(transports.at(-1));
      expect(complaints).toEqual([]);
      await pages[0]!.close();
    },
  );

  it.each(ways)('by $name publishes and receives bytes as well as JSON', async ({ transports }) => {
    const server = await startTestServer({});
    const complaints: string[] = [];
    try {
      const page = await openPage(server.url, complaints);
      const received = await page.evaluate(`(async () => {
        const socket = io({ transports: ${JSON.stringify(transports)} });
        const received = [];
        const done = new Promise((resolve) => {
          socket.onAny((event, data, meta) => {
            const isBytes = data instanceof ArrayBuffer;
            received.push([event, isBytes ? [...new Uint8Array(data)] : data, meta.type]);
            if (received.length === 4) resolve();
          });
        });
        const publish = (...args) => socket.emitWithAck('publish', 'bytes', ...args);
        await socket.emitWithAck('subscribe', 'bytes');
        const answers = [
          await publish({ text: '안녕' }, { event: 'greeting' }),
          await publish(new Uint8Array([0, 255, 30]).buffer),
          await publish(new Blob([new Uint8Array([1, 2])]), { type: 'image/png' }),
          await publish('last'),
          await publish({ a: new Uint8Array([1]) }),
        ];
        await done;
        socket.disconnect();
        return { received, ok: answers.map((answer) => answer.error?.code ?? answer.ok) };
      })()`);
      expect(received).toEqual({
        received: [
          ['greeting', { text: '안녕' }, 'application/json'],
          ['message', [0, 255, 30], 'application/octet-stream'],
          ['message', [1, 2], 'image/png'],
          ['message', 'last', 'text/plain; charset=utf-8'],
        ],
        ok: [true, true, true, true, 'invalid'],
      });
      expect(complaints).toEqual([]);
      await page.close();
    } finally {
      await server.stop();
    }
  });

  it.each(ways)('by $name connects from another origin only when that is listed', async ({ transports }) => {
    const elsewhere = await startTestServer({ store: 'memory:' });
    const [closed, open] = [
      await startTestServer({ store: 'memory:' }),
      await startTestServer({ store: 'memory:', allowedOrigins: [elsewhere.url] }),
    ];
    try {
      const page = await openPage(elsewhere.url, []);
      const attempt = (url: string): Promise<unknown> =>
        page.evaluate(`new Promise((resolve) => {
          const socket = io('${url}', {
            transports: ${JSON.stringify(transports)},
            forceNew: true,
            reconnection: false,
          });
          const end = (how) => () => {
            socket.disconnect();
            resolve(how);
          };
          socket.on('connect', end('connected'));
          socket.on('connect_error', end('refused'));
        })`);
      expect(await attempt(closed.url)).toBe('refused');
      expect(await attempt(open.url)).toBe('connected');
      await page.close();
    } finally {
      await Promise.all([elsewhere, closed, open].map((server) => server.stop()));
    }
  });
});
