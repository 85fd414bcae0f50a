import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeInChromium, launchChromium } from '../interop/chromium.ts';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { mint, testSecret } from '../support/tokens.ts';
import { runExample, type RunningExample } from './run-example.ts';

const patience = { timeout: 60_000, interval: 50 };
const tokenSeconds = 3;

/** The example as its README says, with tokens of a few seconds. */
describeInChromium('the example with users in Chromium', () => {
  let browser: Browser;
  let folder: string;
  let everywire: ServedEverywire;
  let app: RunningExample;
  let url: string;

  beforeAll(async () => {
    browser = await launchChromium();
    folder = mkdtempSync(join(tmpdir(), 'everywire-example-'));
    const secretFile = join(folder, 'secret.txt');
    writeFileSync(secretFile, `${testSecret}\n`);
    // Each of the two must know the address of the other before it starts.
    const port = await freePort();
    url = `http://localhost:${port}`;
    const options = ['--store', 'memory:', '--allowed-origins', url];
    everywire = await serveEverywire(options, { env: { EVERYWIRE_JWT_SECRET_FILE: secretFile } });
    const given = [String(port), everywire.http, secretFile, String(tokenSeconds)];
    app = runExample(process.execPath, 'auth-app/server.ts', given);
    await once(app.child.stdout, 'data');
  });
  afterAll(async () => {
    await browser.close();
    await app.kill();
    await everywire.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  async function freePort(): Promise<number> {
    const server = createServer().listen(0, 'localhost');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return port;
  }
  async function logIn(name: string): Promise<Page> {
    // A separate browser context for each user, since the cookie identifies the user.
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${url}/`);
    await page.fill('#name', name);
    await page.press('#name', 'Enter');
    await page.waitForSelector(`#state:text("${name} reads chat/**")`);
    return page;
  }
  async function publish(page: Page, channel: string, text: string): Promise<void> {
    await page.fill('#channel', channel);
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  }
  async function shows(page: Page, lines: readonly string[]): Promise<void> {
    await expect.poll(() => page.locator('#lines li').allTextContents(), patience).toEqual(lines);
  }
  async function asAdmin(path: string, type: string, body: string): Promise<number> {
    const token = await mint(testSecret, { sub: 'ops', admin: true });
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': type };
    return (await fetch(everywire.http + path, { method: 'POST', headers, body })).status;
  }

  it('gives each their rights, beyond the end of a token, and again after a revocation', async () => {
    const [ann, bob] = [await logIn('ann'), await logIn('bob')];
    await publish(ann, 'chat/ann', '<b>hello</b>');
    await shows(ann, ['chat/ann ann: <b>hello</b>']);
    await publish(ann, 'chat/bob', 'as bob');
    await shows(ann, ['chat/ann ann: <b>hello</b>', 'refused: forbidden']);
    expect(await asAdmin('/channels/chat/staff/1', 'text/plain', 'for staff')).toBe(201);
    // By then the token that opened it has ended.
    await bob.waitForSelector('#state:text("with token 4")');
    await publish(ann, 'chat/ann', 'still here');
    await shows(bob, ['chat/ann ann: <b>hello</b>', 'chat/ann ann: still here']);
    expect(await asAdmin('/tokens/revoke', 'application/json', '{"sub":"ann"}')).toBe(200);
    await ann.waitForSelector('#state:text("1008 unauthorized")');
    await ann.waitForSelector('#state:text("ann reads chat/**")');
    await publish(bob, 'chat/bob', 'welcome back');
    await expect.poll(() => ann.locator('#lines li').last().textContent(), patience).toContain('welcome');
  });

  it('gives no token to a browser that is not logged in', async () => {
    expect((await fetch(`${url}/token`, { method: 'POST' })).status).toBe(401);
    expect((await fetch(`${url}/login`, { method: 'POST', body: '#' })).status).toBe(400);
  });
});
