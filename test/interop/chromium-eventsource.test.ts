import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser } from 'playwright-core';
import type { Envelope } from '@everywire/protocol';
import { describeInChromium, launchChromium } from './chromium.ts';
import { channel, surviveRestart } from './restart-scenario.ts';

describeInChromium("Chromium's EventSource", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  it('reconnects by itself through kill -9 and restart, and misses nothing', async () => {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    await surviveRestart(async (http) => {
      // A page of the same origin without scripts.
      await page.goto(`${http}/livez`);
      // Text, because this runs in the browser and the tests are not compiled for one.
      await page.evaluate(`
        window.opened = 0;
        window.received = [];
        window.source = new EventSource('/channels/${channel}?format=envelope');
        source.onopen = () => { opened += 1; };
        source.onmessage = ({ data, lastEventId }) => {
          const envelope = JSON.parse(data);
          if (envelope.cursor !== lastEventId) throw new Error('the id is not the cursor');
          received.push(envelope);
        };
        undefined;
      `);
      return {
        opened: () => page.evaluate<number>('opened'),
        received: () => page.evaluate<readonly Envelope[]>('received'),
      };
    });
    expect(complaints).toEqual([]);
    await page.close();
  });
});
