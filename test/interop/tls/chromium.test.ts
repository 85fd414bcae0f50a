import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeInChromium, launchChromium } from '../chromium.ts';
import { TestAuthority } from './certificates.ts';
import { startSecureServer, type SecureServer } from './server.ts';

/** More than the six connections that a browser opens to a host with HTTP/1.1. */
const streams = 20;

const patience = { timeout: 60_000 };

describeInChromium('Chromium over HTTPS', () => {
  let authority: TestAuthority;
  let server: SecureServer;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];
  beforeAll(async () => {
    authority = new TestAuthority();
    server = await startSecureServer(authority.issueForLoopback());
    browser = await launchChromium();
    page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
    authority.dispose();
  });

  it(`follows ${streams} channels by EventSource at once, over one connection of HTTP/2`, async () => {
    await page.goto(`${server.url}/livez`);
    // Text, because this runs in the browser and the tests are not compiled for one.
    const seen = await page.evaluate<{
      readonly received: readonly string[];
      readonly protocols: readonly string[];
    }>(`
      (async () => {
        const received = [];
        const names = Array.from({ length: ${streams} }, (_, at) => 'many/' + at);
        const sources = [];
        const all = names.map((name) => new Promise((resolve) => {
          const source = new EventSource('/channels/' + name);
          sources.push(source);
          source.onmessage = ({ data }) => { received.push(data); resolve(); };
        }));
        await Promise.all(sources.map((source) => new Promise((resolve) => { source.onopen = resolve; })));
        for (const name of names) {
          const answer = await fetch('/channels/' + name, { method: 'POST', body: name });
          if (answer.status !== 201) throw new Error('publish: ' + answer.status);
        }
        await Promise.all(all);
        for (const source of sources) source.close();
        const protocols = performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol);
        return { received, protocols: [...new Set(protocols)] };
      })()`);
    expect(seen.received.toSorted()).toEqual(
      Array.from({ length: streams }, (_, at) => `many/${at}`).toSorted(),
    );
    expect(seen.protocols).toEqual(['h2']);
    expect(complaints).toEqual([]);
  });

  it('opens a WebSocket beside them, over HTTP/1.1', async () => {
    await page.goto(`${server.url}/livez`);
    const data = await page.evaluate<string>(`
      new Promise((resolve, reject) => {
        const socket = new WebSocket(location.origin.replace('https', 'wss') + '/channels/socket?format=raw');
        socket.onerror = () => reject(new Error('no WebSocket'));
        socket.onopen = () => fetch('/channels/socket', { method: 'POST', body: 'hello' });
        socket.onmessage = ({ data }) => resolve(typeof data === 'string' ? data : data.text());
      })`);
    expect(data).toBe('hello');
    expect(complaints).toEqual([]);
  });

  it('shows the page, which follows its channel in all three ways and publishes', async () => {
    await page.goto(`${server.url}/?channel=page`);
    const lanes = page.locator('[data-transport]');
    await expect.poll(() => page.locator('[data-transport][data-state=live]').count(), patience).toBe(3);
    await page.locator('#message').fill('hello');
    await page.locator('#message').press('Enter');
    await expect
      .poll(() => lanes.locator('.messages .text').allTextContents(), patience)
      .toEqual(['hello', 'hello', 'hello']);
    expect(complaints).toEqual([]);
  });
});
