import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { runEverywire, serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { describeInChromium, launchChromium } from './chromium.ts';

const transports = ['sse', 'websocket', 'longpoll'] as const;
const patience = { timeout: 60_000, interval: 20 };

describeInChromium('the welcome page in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'everywire-page-'));
  const store = ['--store', `lmdb:${join(folder, 'data')}`];
  let browser: Browser;
  let server: ServedEverywire;
  let page: Page;
  /** What the browser complained of, and where else it went. */
  let complaints: string[];
  let channels = 0;

  beforeAll(async () => {
    server = await serveEverywire(store);
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser.close();
    await server.dispose();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await open('en-US');
  });
  afterEach(() => page.context().close());

  /** Opens the page on a new channel and waits until all three transports are connected. */
  async function open(locale: string): Promise<void> {
    const context = await browser.newContext({ locale });
    page = await context.newPage();
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(server.http)) complaints.push(request.url());
    });
    channels += 1;
    await page.goto(`${server.http}/?channel=page/${channels}`);
    await eachLane('data-state', 'live');
  }

  function lane(transport: string): Locator {
    return page.locator(`[data-transport=${transport}]`);
  }
  async function eachLane(attribute: string, value: string): Promise<void> {
    for (const transport of transports) {
      await expect.poll(() => lane(transport).getAttribute(attribute), patience).toBe(value);
    }
  }
  function rowsOf(transport: string): Promise<readonly string[]> {
    return lane(transport).locator('.messages .text').allTextContents();
  }
  async function eachShows(newestFirst: readonly string[]): Promise<void> {
    for (const transport of transports) {
      await expect.poll(() => rowsOf(transport), patience).toEqual(newestFirst);
    }
  }
  async function publish(text: string): Promise<void> {
    const receipt = page.locator('#receipt');
    const before = await receipt.textContent();
    await page.locator('#message').fill(text);
    // By keyboard, as it must be usable without a mouse.
    await page.locator('#message').press('Enter');
    await expect.poll(() => receipt.textContent(), patience).not.toBe(before);
    expect(await receipt.textContent()).toMatch(/^Accepted as number \d+ after/);
  }
  async function figures(transport: string): Promise<readonly [received: string, missing: string]> {
    const of = (name: string): Promise<string> => lane(transport).locator(`.${name}`).innerText();
    return [await of('received'), await of('missing')];
  }

  it('publishes, and shows the message arrive over all three', async () => {
    await publish('<img src=x onerror=alert(1)>');
    await eachShows(['<img src=x onerror=alert(1)>']);
    await page.locator('#burst').click();
    for (const transport of transports) {
      await expect.poll(() => figures(transport), patience).toEqual(['11', '0']);
      expect(await lane(transport).locator('.latency').innerText()).toMatch(/^\d+(\.\d)? ms$/);
    }
    const cursors = await page.locator('code.cursor').allTextContents();
    expect(new Set(cursors).size).toBe(1);
    expect(await lane('longpoll').locator('.command code').innerText()).toContain(`after=${cursors[0]!}`);
    expect(complaints).toEqual([]);
  });

  it('publishes ten at once as one batch, in order', async () => {
    const requests: string[] = [];
    page.on('request', (request) => {
      if (request.method() === 'POST') requests.push(new URL(request.url()).pathname);
    });
    await page.locator('#message').fill('n');
    await page.locator('#burst').click();
    await eachShows(Array.from({ length: 10 }, (_, index) => `n ${10 - index}`));
    expect(requests).toEqual(['/publish']);
    expect(await page.locator('#receipt').textContent()).toMatch(/^Ten messages accepted, up to number 10/);
  });

  it('has a tab for each of the eleven ways, with a line to try it and its documentation', async () => {
    const tabs = page.getByRole('tab');
    expect(await tabs.count()).toBe(11);
    const lines = new Set<string>();
    await tabs.first().focus();
    for (let index = 0; index < 11; index += 1) {
      expect(await tabs.nth(index).getAttribute('aria-selected')).toBe('true');
      const line = await page.locator('#ways .command code').innerText();
      expect(line).toMatch(/^(curl|npx everywire) /);
      expect(line).toContain(`page/${channels}`);
      lines.add(line);
      const docs = await page.locator('#ways .docs').getAttribute('href');
      expect([docs, (await fetch(`${server.http}${docs!}`)).status]).toEqual([docs, 200]);
      await page.keyboard.press('ArrowRight');
    }
    expect(lines.size).toBe(11);
    const grpc = [...lines].find((line) => line.includes('Messaging/Read'))!;
    const [, body, target] = /-d '(.+)' (\S+)$/.exec(grpc)!;
    const headers = { 'Content-Type': 'application/json' };
    expect((await fetch(target!, { method: 'POST', headers, body: body! })).status).toBe(200);
    expect((await fetch(`${server.http}/docs`)).headers.get('content-type')).toContain('text/html');
    expect(complaints).toEqual([]);
  });

  it.each([
    { width: 390, height: 844 },
    { width: 1280, height: 800 },
  ])('shows what is published and what arrives on one screen of $width × $height', async (size) => {
    await page.setViewportSize(size);
    await publish('here');
    await eachShows(['here']);
    const seen = [page.locator('#message'), page.locator('#receipt'), lane('sse').locator('.messages .text')];
    for (const place of seen) {
      const { y, height } = (await place.boundingBox())!;
      expect(y).toBeGreaterThanOrEqual(0);
      expect(y + height).toBeLessThanOrEqual(size.height);
    }
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(size.width);
  });

  it('says why a lane is refused, and recovers when the channel is one that it may read', async () => {
    const secret = 'a secret of tests that is long enough to sign';
    const guarded = await serveEverywire([], { env: { EVERYWIRE_JWT_SECRET: secret } });
    const args = ['token', '--sub', 'ann', '--subscribe', 'chat/**', '--publish', 'chat/{sub}'];
    const { stdout } = await runEverywire(args, { env: { EVERYWIRE_JWT_SECRET: secret } }).ended;
    await page.goto(`${guarded.http}/?channel=demo`);
    await page.locator('#token').fill(stdout.trim());
    await page.locator('#token').press('Enter');
    await eachLane('data-state', 'refused');
    for (const transport of transports)
      expect(await lane(transport).locator('.why').innerText()).toMatch(/token does not allow reading/);
    await page.locator('#channel').fill('chat/ann');
    await page.locator('#channel').press('Tab');
    await eachLane('data-state', 'live');
    await publish('allowed');
    await eachShows(['allowed']);
    for (const transport of transports) expect(await lane(transport).locator('.why').isVisible()).toBe(false);
    await guarded.dispose();
  });

  it('cuts each transport, which then resumes from its cursor', async () => {
    await publish('first');
    await eachShows(['first']);
    for (const transport of transports) {
      await lane(transport).getByRole('button', { name: /^Cut / }).click();
    }
    await eachLane('data-state', 'cut');
    await publish('second');
    await publish('third');
    expect(await rowsOf('sse')).toEqual(['first']);
    for (const transport of transports) {
      await lane(transport)
        .getByRole('button', { name: /^Reconnect / })
        .click();
    }
    await eachLane('data-state', 'live');
    await eachShows(['third', 'second', 'first']);
    await publish('fourth');
    await eachShows(['fourth', 'third', 'second', 'first']);
    for (const transport of transports) {
      expect(await figures(transport)).toEqual(['4', '0']);
      expect(await lane(transport).locator('.from-log').allTextContents()).toEqual([
        'from the log',
        'from the log',
      ]);
    }
    expect(complaints).toEqual([]);
  });

  it('shows events that have names, also over EventSource', async () => {
    const target = `${server.http}/channels/page/${channels}`;
    const headers = { 'Content-Type': 'application/json', 'Everywire-Event': 'paid' };
    await fetch(target, { method: 'POST', headers, body: '{"order":7}' });
    await eachShows(['{"order":7}']);
    expect(complaints).toEqual([]);
  });

  it('comes back by itself when the server is killed and started again', async () => {
    await publish('before');
    await eachShows(['before']);
    const { port } = server;
    server.child.kill('SIGKILL');
    await server.ended;
    await eachLane('data-state', 'connecting');
    server = await serveEverywire([...store, '--port', String(port)]);
    const target = `${server.http}/channels/page/${channels}`;
    await fetch(target, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: 'meanwhile' });
    await eachLane('data-state', 'live');
    await eachShows(['meanwhile', 'before']);
    for (const transport of transports) expect(await figures(transport)).toEqual(['2', '0']);
  });

  it('is Korean in a Korean browser, can be switched, and remembers the language', async () => {
    await page.context().close();
    await open('ko-KR');
    expect(await page.locator('html').getAttribute('lang')).toBe('ko');
    expect(await page.locator('#publish [type=submit]').innerText()).toBe('발행');
    await page.getByRole('button', { name: 'English' }).click();
    expect(await page.locator('#publish [type=submit]').innerText()).toBe('Publish');
    expect(await lane('longpoll').locator('h3').innerText()).toBe('Long polling');
    await page.reload();
    await eachLane('data-state', 'live');
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    expect(complaints).toEqual([]);
  });

  it('fits a phone, and every control has a name', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    const buttons = await page.getByRole('button', { name: /\S/ }).count();
    const tabs = await page.getByRole('tab', { name: /\S/ }).count();
    expect(buttons + tabs).toBe(await page.locator('button:visible').count());
    expect(await page.getByRole('textbox', { name: /\S/ }).count()).toBe(
      await page.locator('input:visible').count(),
    );
  });

  it('is refused to be framed or sniffed', async () => {
    const answer = await fetch(server.http);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });
});
