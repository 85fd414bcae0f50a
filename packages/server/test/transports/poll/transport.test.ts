import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGet } from '../../../../../test/clients/http/wire-client.ts';
import { startRig, type Rig } from '../../http/rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ namespaces: [{ filter: 'small/**', retention: { countMax: 2 } }] });
});
afterAll(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

interface Page {
  readonly messages: readonly { readonly data: string; readonly offset: number; readonly cursor: string }[];
  readonly cursor: string;
  readonly continuity: string;
  readonly gap?: object;
}

async function publish(channel: string, text: string): Promise<string> {
  const url = `${rig.front.url}/channels/${channel}`;
  const response = await fetch(url, {
    method: 'POST',
    body: text,
    headers: { 'Content-Type': 'text/plain' },
  });
  return ((await response.json()) as { cursor: string }).cursor;
}

async function read(
  target: string,
  headers: Record<string, string> = {},
): Promise<{ response: Response; page: Page }> {
  const response = await fetch(`${rig.front.url}/channels/${target}`, { headers });
  const text = await response.text();
  return { response, page: (text === '' ? undefined : JSON.parse(text)) as Page };
}

const texts = ({ messages }: Page): string[] => messages.map(({ data }) => data);

describe('polling', () => {
  it('reads the newest, a range, and on from a cursor, over and over without loss', async () => {
    const all = Array.from({ length: 25 }, (_, at) => `m${at}`);
    for (const text of all) await publish('poll', text);
    expect(texts((await read('poll?limit=3')).page)).toEqual(['m22', 'm23', 'm24']);
    expect(texts((await read('poll?since=last-2')).page)).toEqual(['m23', 'm24']);
    let { page } = await read('poll?since=earliest&limit=4');
    const seen = texts(page);
    while (page.messages.length > 0) {
      page = (await read(`poll?after=${page.cursor}&limit=4`)).page;
      seen.push(...texts(page));
    }
    expect(seen).toEqual(all);
    expect(page).toMatchObject({ messages: [], continuity: 'exact' });
  });

  it('answers 304 to a reader that is up to date, and 200 to one that is not', async () => {
    await publish('etag', 'one');
    const { response } = await read('etag');
    const etag = response.headers.get('etag')!;
    const headers = { 'If-None-Match': etag };
    // Other channels growing changes nothing here.
    await publish('etag-other', 'x');
    const same = await read('etag', headers);
    expect(same.response.status).toBe(304);
    expect(same.response.headers.get('etag')).toBe(etag);
    await publish('etag', 'two');
    const changed = await read('etag', headers);
    expect(changed.response.status).toBe(200);
    expect(texts(changed.page)).toEqual(['one', 'two']);
    expect((await read('etag', { 'If-None-Match': '"nonsense"' })).response.status).toBe(200);
  });

  it('tells a gap, also behind If-None-Match', async () => {
    const first = await publish('small/a', '1');
    for (const text of ['2', '3', '4']) await publish('small/a', text);
    for (const target of [`small/a?after=${first}`, `small/a?after=${first}&wait=10s`]) {
      const { page, response } = await read(target, { 'If-None-Match': `"${first}"` });
      expect(response.status).toBe(200);
      expect(page).toMatchObject({ continuity: 'gap', gap: { channel: 'small/a', reason: 'retention' } });
      expect(response.headers.get('everywire-continuity')).toBe('gap');
      expect(texts(page)).toEqual(['3', '4']);
    }
    const unnamed = await read('small/a?wait=10s', { 'If-None-Match': `"${first}"` });
    expect(unnamed.page.continuity).toBe('gap');
  });

  it('has what HTTP wants of an answer', async () => {
    const { response } = await read('headers');
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('vary')).toContain('Accept');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const head = await fetch(`${rig.front.url}/channels/headers?wait=30s`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('etag')).toBe(response.headers.get('etag'));
  });
});

describe('an answer that is an event', () => {
  it('is not storable; one that a cursor names may be stored and asked about', async () => {
    const cursor = await publish('stored', 'one');
    for (const [target, expected] of [
      ['stored', 'no-store'],
      ['stored?limit=1', 'no-store'],
      [`stored?after=${cursor}&wait=1ms`, 'no-store'],
      ['stored?wait=1ms', 'no-store'],
      [`stored?after=${cursor}`, 'no-cache'],
      ['stored?since=earliest', 'no-cache'],
    ]) {
      expect((await read(target!)).response.headers.get('cache-control')).toBe(expected);
    }
    const preferring = await read('stored', { Prefer: 'wait=0' });
    expect(preferring.response.headers.get('cache-control')).toBe('no-store');
    const same = await read('stored', {
      'If-None-Match': (await read('stored')).response.headers.get('etag')!,
    });
    expect(same.response.status).toBe(304);
    expect(same.response.headers.get('cache-control')).toBe('no-store');
  });
});

describe('a validator or a value that is not ours', () => {
  it.each(['"nonsense"', 'W/"5f3-18c"', 'unquoted', '"a", "b"', '""'])(
    'is as if absent: If-None-Match %s',
    async (tag) => {
      await publish('foreign', 'one');
      expect((await read('foreign', { 'If-None-Match': tag })).response.status).toBe(200);
      const { response, page } = await read('foreign?wait=20ms', { 'If-None-Match': tag });
      expect(response.status).toBe(200);
      expect(page).toMatchObject({ messages: [], continuity: 'exact' });
    },
  );

  it('is as if absent: an ETag that a proxy changed', async () => {
    await publish('zipped', 'one');
    const etag = (await read('zipped')).response.headers.get('etag')!;
    const changed = etag.replace(/"$/, '-gzip"');
    for (const target of ['zipped', 'zipped?wait=20ms'])
      expect((await read(target, { 'If-None-Match': changed })).response.status).toBe(200);
  });

  it('is as if absent: an empty parameter', async () => {
    await publish('empty', 'one');
    for (const target of ['empty?after=', 'empty?since=', 'empty?after=&since=&limit=&wait=&format='])
      expect(texts((await read(target)).page)).toEqual(['one']);
  });

  it('is refused where it would be a place under another name', async () => {
    const response = await fetch(`${rig.front.url}/channels/names?cursor=x`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: 'invalid',
      detail: 'cursor is not a parameter of a read. Give the place as after=<cursor> or since=.',
    });
  });
});

describe('long polling', () => {
  const waiting = async (count: number): Promise<void> => {
    while (rig.hub.figures.subscriptions < count) await new Promise(setImmediate);
  };

  it('answers every waiting reader at the first message', async () => {
    const polls = [read('long?wait=30s'), read('long?wait=30s'), read('long', { Prefer: 'wait=30' })];
    await waiting(3);
    const cursor = await publish('long', 'hello');
    for (const poll of polls) {
      const { page } = await poll;
      expect(texts(page)).toEqual(['hello']);
      expect(page.cursor).toBe(cursor);
    }
    const { response } = await polls[2]!;
    expect(response.headers.get('preference-applied')).toBe('wait');
    expect(rig.hub.figures.subscriptions).toBe(0);
  });

  it('answers at once when there is something after the cursor', async () => {
    const cursor = await publish('at-once', '1');
    await publish('at-once', '2');
    expect(texts((await read(`at-once?after=${cursor}&wait=30s`)).page)).toEqual(['2']);
    expect(texts((await read(`at-once?wait=30s&since=earliest&limit=1`)).page)).toEqual(['1']);
    expect(texts((await read(`at-once?wait=30s`, { 'If-None-Match': `"${cursor}"` })).page)).toEqual(['2']);
  });

  it('answers at the time-out with the cursor, from which nothing is missed', async () => {
    const { page } = await read('timeout?wait=50ms');
    expect(page).toMatchObject({ messages: [], continuity: 'exact' });
    await publish('timeout', 'late');
    expect(texts((await read(`timeout?after=${page.cursor}`)).page)).toEqual(['late']);
    const cursor = (await read('timeout')).page.cursor;
    const same = await read('timeout?wait=50ms', { 'If-None-Match': `"${cursor}"` });
    expect(same.response.status).toBe(304);
  });

  it('is over when the reader hangs up', async () => {
    const client = await openGet(rig.port, '/channels/hang?wait=30s');
    await waiting(1);
    client.socket.destroy();
    while (rig.hub.figures.subscriptions > 0) await new Promise(setImmediate);
  });

  it('chases a publisher without loss or repetition', async () => {
    const total = 200;
    const publishing = (async () => {
      for (let at = 0; at < total; at += 1) await publish('chase', `${at}`);
    })();
    const seen: string[] = [];
    let { page } = await read('chase?since=earliest&wait=30s');
    seen.push(...texts(page));
    while (seen.length < total) {
      page = (await read(`chase?after=${page.cursor}&wait=30s`)).page;
      seen.push(...texts(page));
    }
    await publishing;
    expect(seen).toEqual(Array.from({ length: total }, (_, at) => `${at}`));
  });

  it('is answered with what there is when the node drains', async () => {
    await using other = await startRig();
    const poll = fetch(`${other.front.url}/channels/x?wait=30s`);
    while (other.hub.figures.subscriptions < 1) await new Promise(setImmediate);
    other.hub.beginDrain();
    expect(await (await poll).json()).toMatchObject({ messages: [], continuity: 'exact' });
  });
});
