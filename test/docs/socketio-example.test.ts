import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeInChromium, launchChromium } from '../interop/chromium.ts';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { runExample, type RunningExample } from './run-example.ts';

const patience = { timeout: 60_000, interval: 50 };

/** Runs the example as its README describes it: two processes, a page in each of two tabs, and a publisher with curl. */
describeInChromium('the Socket.IO example in Chromium', () => {
  let browser: Browser;
  let folder: string;
  let everywire: ServedEverywire;
  let apps: RunningExample[];
  let ports: number[];

  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-example-'));
    everywire = await startEverywire(0);
    ports = [];
    apps = [];
    while (apps.length < 2) await startOnFreePort();
  });
  afterEach(async () => {
    for (const app of apps) await app.kill();
    await everywire.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  function startEverywire(port: number): Promise<ServedEverywire> {
    return serveEverywire(['--store', `lmdb:${join(folder, 'data')}`, '--port', String(port)]);
  }
  async function startApp(port: number): Promise<RunningExample> {
    const app = runExample(process.execPath, 'socketio-app/server.ts', [String(port), everywire.http]);
    await expect.poll(() => app.lines(), patience).not.toEqual([]);
    return app;
  }
  /** Another test may have taken the port meanwhile: the application then ends at once, and another port is tried. */
  async function startOnFreePort(): Promise<void> {
    const port = await freePort();
    const app = runExample(process.execPath, 'socketio-app/server.ts', [String(port), everywire.http]);
    const hasEnded = app.ended.then(() => true);
    const listens = expect.poll(() => app.lines(), patience).not.toEqual([]);
    if (await Promise.race([hasEnded, listens.then(() => false)])) {
      listens.catch(() => undefined);
      return;
    }
    ports.push(port);
    apps.push(app);
  }
  /** The page tells its port, so it must be known before the application listens. */
  async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return port;
  }
  async function open(port: number): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${port}/?room=kitchen`);
    await page.waitForSelector('#state:text("connected")');
    return page;
  }
  async function say(page: Page, text: string): Promise<void> {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  }
  async function shows(page: Page, lines: readonly string[]): Promise<void> {
    await expect.poll(() => page.locator('#lines li').allTextContents(), patience).toEqual(lines);
  }

  it('talks across processes, also through the death of one of them and of Everywire', async () => {
    const [anna, ben] = [await open(ports[0]!), await open(ports[1]!)];
    await ben.fill('#name', 'ben');
    await say(anna, 'hello');
    for (const page of [anna, ben]) await shows(page, ['anna: hello']);
    await fetch(`${everywire.http}/channels/socket.io/_/kitchen`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Everywire-Event': 'chat' },
      body: '{"name":"curl","text":"hi"}',
    });
    const lines = ['anna: hello', 'curl: hi'];
    for (const page of [anna, ben]) await shows(page, lines);

    await apps[1]!.kill();
    await ben.waitForSelector('#state:text("away")');
    await say(anna, 'are you there?');
    apps[1] = await startApp(ports[1]!);
    await ben.waitForSelector('#state:text("back")');
    lines.push('anna: are you there?');
    for (const page of [anna, ben]) await shows(page, lines);

    everywire.child.kill('SIGKILL');
    await everywire.ended;
    await say(ben, 'back again');
    everywire = await startEverywire(everywire.port);
    lines.push('ben: back again');
    for (const page of [anna, ben]) await shows(page, lines);

    const late = await open(ports[1]!);
    await shows(late, lines);
    for (const page of [anna, ben, late]) await page.close();
  });
});
