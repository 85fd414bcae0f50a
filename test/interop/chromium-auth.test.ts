import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret } from '../support/tokens.ts';
import { describeInChromium, launchChromium } from './chromium.ts';

const patience = { timeout: 60_000, interval: 20 };
const cookie = 'session';

/** Runs in a page of another origin: opens an EventSource and a WebSocket, which cannot set headers, each with a separate ticket, and publishes. */
const byTickets = `async ({ target, token }) => {
  const ticket = async () => {
    const made = await fetch(target + '/tickets', { method: 'POST', headers: { Authorization: 'Bearer ' + token } });
    return (await made.json()).ticket;
  };
  const path = async (name) => '/channels/' + name + '?ticket=' + (await ticket());
  const paths = [await path('demo'), await path('demo')];
  const events = new EventSource(target + paths[0]);
  const socket = new WebSocket(target.replace('http', 'ws') + paths[1]);
  const got = (source) => new Promise((done) => source.addEventListener('message', ({ data }) => done(data)));
  const arrivals = Promise.all([got(events), got(socket)]);
  const opened = (source) => new Promise((done) => source.addEventListener('open', done));
  await Promise.all([opened(events), opened(socket)]);
  const over = new Promise((done) => events.addEventListener('everywire.error', ({ data }) => done(JSON.parse(data).code)));
  const closed = new Promise((done) => socket.addEventListener('close', ({ code, reason }) => done(code + ' ' + reason)));
  const gaveUp = new Promise((done) => {
    events.addEventListener('error', () => { if (events.readyState === EventSource.CLOSED) done('gave up'); });
  });
  const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'text/plain' };
  const { status } = await fetch(target + '/channels/demo', { method: 'POST', headers, body: 'hello' });
  const messages = await arrivals;
  return { status, messages, ends: await Promise.all([over, closed, gaveUp]) };
}`;

/** What the cookie alone opens, from whichever page this runs in. */
const byCookie = `async (target) => {
  const read = await fetch(target + '/channels/demo', { credentials: 'include' })
    .then(({ status }) => status, () => 'refused');
  const socket = await new Promise((done) => {
    const opened = new WebSocket(target.replace('http', 'ws') + '/ws');
    opened.onopen = () => { opened.close(); done('opened'); };
    opened.onerror = () => done('refused');
  });
  return { read, socket };
}`;

describeInChromium('a page in Chromium, while authentication is on', () => {
  let browser: Browser;
  let server: TestServer;
  /** Their pages are other origins: another port is another origin, but the same site, which cookies go by. */
  let listed: TestServer;
  let stranger: TestServer;

  beforeAll(async () => {
    browser = await launchChromium();
    [listed, stranger] = await Promise.all([startTestServer({}), startTestServer({})]);
    const auth = { jwt: { secret: testSecret }, cookie };
    server = await startTestServer({ auth, allowedOrigins: [listed.url] });
  });
  afterAll(async () => {
    await browser.close();
    await Promise.all([server.stop(), listed.stop(), stranger.stop()]);
  });

  async function inPageOf(url: string, use: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext({ locale: 'en-US' });
    try {
      const page = await context.newPage();
      await page.goto(`${url}/livez`);
      await use(page);
    } finally {
      await context.close();
    }
  }

  it('follows by EventSource and WebSocket with tickets, and receives the end of its token', async () => {
    const rights = { subscribe: ['demo'], publish: ['demo'], exp: Date.now() / 1_000 + 4 };
    const token = await mint(testSecret, { sub: 'ann', ...rights });
    await inPageOf(listed.url, async (page) => {
      const given = JSON.stringify({ target: server.url, token });
      expect(await page.evaluate(`(${byTickets})(${given})`)).toEqual({
        status: 201,
        messages: ['hello', 'hello'],
        ends: ['unauthorized', expect.stringMatching(/^1008 unauthorized: /), 'gave up'],
      });
    });
  });

  it('is let in by the cookie when it is of this server or listed, and not otherwise', async () => {
    const token = await mint(testSecret, { sub: 'ann', subscribe: ['**'] });
    const outcomes: unknown[] = [];
    for (const { url } of [server, listed, stranger]) {
      await inPageOf(url, async (page) => {
        await page.context().addCookies([{ name: cookie, value: token, url: server.url, sameSite: 'Lax' }]);
        outcomes.push(await page.evaluate(`(${byCookie})('${server.url}')`));
      });
    }
    const welcome = { read: 200, socket: 'opened' };
    expect(outcomes).toEqual([welcome, welcome, { read: 'refused', socket: 'refused' }]);
  });

  it('is the welcome page, which asks for a token and then follows by all three', async () => {
    await inPageOf(server.url, async (page) => {
      await page.goto(`${server.url}/?channel=page`);
      const form = page.locator('#admission');
      const token = page.locator('#token');
      const enter = async (text: string): Promise<void> => {
        await form.waitFor({ state: 'visible' });
        await token.fill(text);
        await token.press('Enter');
      };
      // What is worth nothing is asked for again.
      await enter('nonsense');
      await expect.poll(() => token.inputValue(), patience).toBe('');
      await enter(await mint(testSecret, { sub: 'ann', subscribe: ['**'], publish: ['**'] }));
      await form.waitFor({ state: 'hidden' });
      const states = (): Promise<unknown> =>
        page.evaluate(`[...document.querySelectorAll('.lane')].map(({ dataset }) => dataset.state)`);
      await expect.poll(states, patience).toEqual(['live', 'live', 'live']);
      await page.locator('#message').fill('hello');
      await page.locator('#message').press('Enter');
      const rows = (): Promise<string[]> => page.locator('.messages .text').allTextContents();
      await expect.poll(rows, patience).toEqual(['hello', 'hello', 'hello']);
      expect(await page.locator('#publish-command code').innerText()).toContain('Bearer $EVERYWIRE_TOKEN');
    });
  });
});
