import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
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
    expect(await page.getByRole('button', { name: /\S/ }).count()).toBe(
      await page.locator('button:visible').count(),
    );
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
