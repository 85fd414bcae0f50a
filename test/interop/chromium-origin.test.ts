import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Envelope } from '@everywire/protocol';
import { startTestServer, type TestServer } from '../support/server.ts';
import { describeInChromium, launchChromium } from './chromium.ts';

/** The attempts of any open page to reach a server on the same machine. */
const attempts = `async (target) => {
  const outcome = (open) => new Promise(open);
  await fetch(target, { method: 'POST', mode: 'no-cors', body: 'forged' });
  const read = await fetch(target).then(() => 'read', () => 'refused');
  const socket = await outcome((done) => {
    const opened = new WebSocket(target.replace('http', 'ws'));
    opened.onopen = () => done('opened');
    opened.onerror = () => done('refused');
  });
  const events = await outcome((done) => {
    const source = new EventSource(target);
    source.onopen = () => done('opened');
    source.onerror = () => { source.close(); done('refused'); };
  });
  return { read, socket, events };
}`;

describeInChromium('a page of another origin in Chromium', () => {
  let browser: Browser;
  let elsewhere: TestServer;
  let page: Page;

  beforeAll(async () => {
    browser = await launchChromium();
    elsewhere = await startTestServer({});
    page = await browser.newPage();
    await page.goto(`${elsewhere.url}/livez`);
  });
  afterAll(async () => {
    await browser.close();
    await elsewhere.stop();
  });

  async function attack(server: TestServer): Promise<unknown> {
    const outcome = await page.evaluate(`(${attempts})('${server.url}/channels/target')`);
    const answer = await fetch(`${server.url}/channels/target?since=earliest`);
    const { messages } = (await answer.json()) as { readonly messages: readonly Envelope[] };
    return { stored: messages.length, ...(outcome as object) };
  }

  it('can neither publish nor follow by default', async () => {
    const server = await startTestServer({});
    try {
      expect(await attack(server)).toEqual({
        stored: 0,
        read: 'refused',
        socket: 'refused',
        events: 'refused',
      });
    } finally {
      await server.stop();
    }
  });

  it('can in development when it is a page of this machine', async () => {
    const server = await startTestServer({ allowedOrigins: ['dev'] });
    try {
      expect(await attack(server)).toEqual({ stored: 1, read: 'read', socket: 'opened', events: 'opened' });
    } finally {
      await server.stop();
    }
  });

  it('cannot when its own name resolves to this machine', async () => {
    const server = await startTestServer({});
    const rebound = await launchChromium(['--host-resolver-rules=MAP rebound.example 127.0.0.1']);
    try {
      const stranger = await rebound.newPage();
      const url = server.url.replace('127.0.0.1', 'rebound.example');
      // For the browser this is a page of the attacker; its origin and its `Host` agree, as on pages of this server.
      await stranger.goto(`${url}/livez`);
      const outcome = await stranger
        .evaluate(`(${attempts})('${url}/channels/target')`)
        .catch(() => 'refused');
      expect(JSON.stringify(outcome)).not.toContain('opened');
      const answer = await fetch(`${server.url}/channels/target?since=earliest`);
      expect(await answer.json()).toMatchObject({ messages: [] });
    } finally {
      await rebound.close();
      await server.stop();
    }
  });

  it('can when its origin is listed', async () => {
    const server = await startTestServer({ allowedOrigins: [elsewhere.url] });
    try {
      expect(await attack(server)).toEqual({ stored: 1, read: 'read', socket: 'opened', events: 'opened' });
    } finally {
      await server.stop();
    }
  });
});
