import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/runtime/clock.ts';
import { startRig, type Rig } from '../../http/rig.ts';

/** Ahead of the system by this much: messages expire when a test says so. */
let aheadMs = 0;
let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    clock: { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs },
    namespaces: [{ filter: 'small/**', retention: { countMax: 5 } }],
  });
});
afterAll(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

interface Page {
  readonly messages: readonly { readonly offset: number; readonly channel: string; readonly data: string }[];
  readonly cursor: string;
  readonly more?: boolean;
}

async function publish(channel: string, body: string, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(`${rig.front.url}/channels/${channel}`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'text/plain', ...headers },
  });
  expect(response.status).toBe(201);
}

async function read(
  target: string,
  ifNoneMatch?: string,
): Promise<{ status: number; etag: string; page: Page; bytes: number }> {
  const response = await fetch(`${rig.front.url}/${target}`, {
    headers: {
      Accept: 'application/json',
      ...(ifNoneMatch === undefined ? {} : { 'If-None-Match': ifNoneMatch }),
    },
  });
  const text = await response.text();
  const page = (text === '' ? undefined : JSON.parse(text)) as Page;
  return { status: response.status, etag: response.headers.get('etag')!, page, bytes: text.length };
}

const offsets = ({ messages }: Page): number[] => messages.map(({ offset }) => offset);
const from = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

describe('a page that its bytes cut short', () => {
  const large = 'x'.repeat(20_000);
  beforeAll(async () => {
    for (let at = 1; at <= 150; at += 1) await publish(at % 2 === 0 ? 'large/a' : 'large/b', large);
    for (let at = 1; at <= 150; at += 1) await publish('n', large);
  });

  it.each(['channels/n', 'channels/n?limit=1000', 'channels/n?limit=60'])(
    '%s ends with the newest message, and says that older ones are left out',
    async (target) => {
      const { page, bytes } = await read(target);
      expect(page.messages.length).toBeGreaterThan(40);
      expect(offsets(page)).toEqual(from(151 - page.messages.length, 150));
      expect(page.more).toBe(true);
      expect(bytes).toBeLessThan(rig.host.limits.outboundBytesMax * 1.1);
      expect((await read(`channels/n?after=${page.cursor}`)).page).toMatchObject({ messages: [] });
    },
  );

  it('of several filters or a wildcard ends with the newest too, within the bytes of one page', async () => {
    for (const target of [
      'channels/large/*?limit=1000',
      'stream?channel=large/a&channel=large/b&limit=1000',
      'stream?channel=large/*&channel=large/b',
    ]) {
      const { page, bytes } = await read(target);
      expect(page.messages.at(-1)).toMatchObject({ channel: 'large/a', offset: 75 });
      expect(page.messages.at(-2)).toMatchObject({ channel: 'large/b', offset: 75 });
      expect(page.more).toBe(true);
      expect(bytes).toBeLessThan(rig.host.limits.outboundBytesMax * 1.1);
    }
  });

  it('is read on from its cursor until no page says more, by number or by bytes', async () => {
    for (const more of ['limit=7', 'limit=1000', 'limit=1000&wait=30s']) {
      let { page } = await read(`channels/n?since=earliest&${more}`);
      const seen = offsets(page);
      while (page.more === true) {
        page = (await read(`channels/n?after=${page.cursor}&${more}`)).page;
        seen.push(...offsets(page));
      }
      expect(seen).toEqual(from(1, 150));
    }
  });

  it('without a place says nothing of more when it has as many as were asked for', async () => {
    const { page } = await read('channels/n?limit=3');
    expect(offsets(page)).toEqual([148, 149, 150]);
    expect(page).not.toHaveProperty('more');
    await publish('few', 'x');
    expect((await read('channels/few')).page).not.toHaveProperty('more');
  });
});

describe('an ETag', () => {
  it('does not match once a message of its page has expired', async () => {
    await publish('ttl', 'stays');
    const empty = (await read('channels/ttl')).page.cursor;
    await publish('ttl', 'goes', { 'Everywire-TTL': '60s' });
    const before = await read('channels/ttl');
    for (let at = 0; at < 3; at += 1) expect((await read('channels/ttl', before.etag)).status).toBe(304);
    const ranged = await read(`channels/ttl?after=${empty}`);
    expect((await read(`channels/ttl?after=${empty}`, ranged.etag)).status).toBe(304);
    aheadMs += 120_000;
    const after = await read('channels/ttl', before.etag);
    expect(after.status).toBe(200);
    expect(offsets(after.page)).toEqual([1]);
    const rangedAfter = await read(`channels/ttl?after=${empty}`, ranged.etag);
    expect(rangedAfter).toMatchObject({ status: 200, page: { messages: [] } });
  });

  it('does not match once a channel of its page was deleted', async () => {
    for (const name of ['gone/a', 'gone/b', 'gone/a']) await publish(name, 'x');
    const whole = await read('channels/gone/*');
    const one = await read('channels/gone/a');
    for (let at = 0; at < 2; at += 1) {
      expect((await read('channels/gone/*', whole.etag)).status).toBe(304);
      expect((await read('channels/gone/a', one.etag)).status).toBe(304);
    }
    await rig.hub.store.drop('gone/a');
    const wholeAfter = await read('channels/gone/*', whole.etag);
    expect(wholeAfter.status).toBe(200);
    expect(wholeAfter.page.messages.map(({ channel }) => channel)).toEqual(['gone/b']);
    expect(await read('channels/gone/a', one.etag)).toMatchObject({ status: 200, page: { messages: [] } });
  });

  it('does not match once retention took messages of its page by their age', async () => {
    for (let at = 0; at < 3; at += 1) await publish('small/aged', `${at}`);
    const { etag } = await read('channels/small/aged');
    for (let at = 0; at < 2; at += 1) expect((await read('channels/small/aged', etag)).status).toBe(304);
    await rig.hub.store.sweep(Number.MAX_SAFE_INTEGER, () => ({
      countMax: 1e9,
      ageMsMax: 1,
      bytesMax: 1e15,
    }));
    expect(await read('channels/small/aged', etag)).toMatchObject({ status: 200, page: { messages: [] } });
  });

  it('matches for a full page of a channel that was trimmed before it', async () => {
    for (let at = 0; at < 9; at += 1) await publish('small/full', `${at}`);
    const { etag, page } = await read('channels/small/full?limit=5');
    expect(offsets(page)).toEqual([5, 6, 7, 8, 9]);
    expect((await read('channels/small/full?limit=5', etag)).status).toBe(304);
  });

  it('is no match where it names a place that is not the end', async () => {
    for (const text of ['1', '2', '3']) await publish('places', text);
    const { page } = await read('channels/places?since=earliest&limit=1');
    expect((await read('channels/places', `"${page.cursor}"`)).status).toBe(200);
  });
});
