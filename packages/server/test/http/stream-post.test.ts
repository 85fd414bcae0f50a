import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGet, WireClient } from '../../../../test/clients/http/wire-client.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { startRig, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

/** 100 names of 20 Hangul syllables: 6 KB here, and 18 KB in an address. */
const names = Array.from({ length: 100 }, (_, at) => `방/가나다라마바사아자차카타파하거너더러머${at}`);

async function publish(channel: string, text: string): Promise<string> {
  const response = await fetch(`${rig.front.url}/channels/${encodeURIComponent(channel)}`, {
    method: 'POST',
    body: text,
    headers: { 'Content-Type': 'text/plain' },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { cursor: string }).cursor;
}

function post(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${rig.front.url}/stream`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...headers },
  });
}

const json = { Accept: 'application/json' };

describe('POST /stream', () => {
  it('follows more names than fit into an address, over each view, and resumes', async () => {
    const address = names.map((name) => `channel=${encodeURIComponent(name)}`).join('&');
    expect((await fetch(`${rig.front.url}/stream?${address}`, { headers: json })).status).toBe(431);
    const first = await publish(names[0]!, 'first');
    const page = (await (await post({ channels: names, since: 'earliest' }, json)).json()) as object;
    expect(page).toMatchObject({ messages: [{ channel: names[0], data: 'first' }] });
    const body = JSON.stringify({ channels: names, after: first });
    for (const accept of ['application/x-ndjson', 'text/event-stream']) {
      await using client = new WireClient(rig.port);
      await client.send(
        Buffer.from(
          `POST /stream HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        ),
      );
      await client.until(({ received }) => received.includes('\r\n\r\n'));
      const text = `for ${accept}`;
      await publish(names[99]!, text);
      await client.until(({ received }) => received.includes(`"data":"${text}"`));
      expect(client.received).not.toContain('"data":"first"');
      expect(client.received).toMatch(new RegExp(`Content-Type: ${accept}`, 'i'));
    }
  });

  it('is a long poll with wait, which a message ends', async () => {
    const poll = post({ channels: ['poll/a', 'poll/*'], wait: '30s' });
    while (rig.hub.figures.subscriptions < 2) await new Promise(setImmediate);
    await publish('poll/b', 'news');
    const response = await poll;
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toMatchObject({ messages: [{ channel: 'poll/b', data: 'news' }] });
    const short = await post(
      { channels: ['poll/a'], wait: 0.01 },
      { 'If-None-Match': response.headers.get('etag')! },
    );
    expect(short.status).toBe(200);
  });

  it('takes the names as they are: + is a wildcard in JSON', async () => {
    await publish('plus/a', 'x');
    const response = await post({ channels: ['plus/+'], since: 'last-1' }, json);
    expect(await response.json()).toMatchObject({ messages: [{ channel: 'plus/a' }] });
  });

  it.each([
    [{}, 422],
    [{ channels: [] }, 400],
    [{ channels: 'a' }, 422],
    [{ channels: ['a'], cursor: 'x' }, 422],
    [{ channels: ['a'], after: 'nonsense' }, 400],
    [{ channels: ['a'], since: 'yesterday' }, 400],
    [{ channels: ['a/#/b'] }, 400],
    [{ channels: Array.from({ length: defaultLimits.subscriptionsMax + 1 }, (_, at) => `c/${at}`) }, 400],
    [[], 422],
  ])('refuses %j with %i', async (body, status) => {
    expect((await post(body)).status).toBe(status);
  });

  it('refuses a body that is not JSON, and is listed in Allow', async () => {
    const form = await fetch(`${rig.front.url}/stream`, { method: 'POST', body: 'channels=a' });
    expect(form.status).toBe(415);
    const other = await fetch(`${rig.front.url}/stream`, { method: 'DELETE' });
    expect(other.headers.get('allow')).toMatch(/POST/);
    await using client = await openGet(rig.port, '/stream?channel=a', 'Accept: application/x-ndjson\r\n');
    await client.until(({ received }) => received.includes('200 OK'));
  });
});
