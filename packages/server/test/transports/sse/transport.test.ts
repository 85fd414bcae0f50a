import { once } from 'node:events';
import { formatCursor } from '@everywire/protocol';
import { EventSource } from 'eventsource';
import { afterEach, describe, expect, it } from 'vitest';
import { openGet, WireClient } from '../../../../../test/clients/http/wire-client.ts';
import { HeldFollow } from '../../core/held-follow.ts';
import { startRig, type Rig, type RigOptions } from '../../http/rig.ts';

const sse = 'Accept: text/event-stream\r\n';
let rig: Rig;

async function start(options: RigOptions = {}): Promise<Rig> {
  rig = await startRig(options);
  return rig;
}

afterEach(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

async function publish(
  text: string,
  channel = 'demo',
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await fetch(`${rig.front.url}/channels/${channel}`, {
    method: 'POST',
    body: text,
    headers: { 'Content-Type': 'text/plain', ...headers },
  });
  return ((await response.json()) as { cursor: string }).cursor;
}

const ids = (text: string): string[] => [...text.matchAll(/^id: (.+)$/gm)].map((match) => match[1]!);

describe('an event stream', () => {
  it('begins with the cursor of its reader, so that a reconnect before the first message misses nothing', async () => {
    await start();
    await publish('before');
    await using client = await openGet(rig.port, '/channels/demo', sse);
    await client.until(({ received }) => /\nid: [^]+\n\n/.test(received));
    const [head, body] = client.received.split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head).toMatch(/Content-Type: text\/event-stream/);
    expect(head).toMatch(/Cache-Control: no-cache/);
    expect(head).toMatch(/X-Accel-Buffering: no/);
    expect(head).toMatch(/Everywire-Continuity: exact/);
    expect(head).toMatch(/Vary: Accept/);
    expect(body).toMatch(/^retry: \d+\nid: (\S+)\nevent: everywire\.position\ndata: \{"cursor":"\1"\}\n\n$/);
    const [cursor] = ids(body!);
    client.socket.destroy();
    await publish('while away');
    await using again = await openGet(rig.port, '/channels/demo', `${sse}Last-Event-ID: ${cursor}\r\n`);
    await again.until(({ received }) => received.includes('data: while away'));
    expect(again.received).not.toContain('data: before');
  });

  it('lets Last-Event-ID win over after', async () => {
    await start();
    const first = await publish('one');
    const second = await publish('two');
    await publish('three');
    const target = `/channels/demo?after=${first}`;
    await using client = await openGet(rig.port, target, `${sse}Last-Event-ID: ${second}\r\n`);
    await client.until(({ received }) => received.includes('data: three'));
    expect(client.received).not.toContain('data: two');
  });

  it.each(['nonsense', '42', '1abc.2.3', '1abcdef.1.000000000000000\u00e9', 'x'.repeat(300)])(
    'reads on from now for the Last-Event-ID %s of another server, and says that this is a gap',
    async (id) => {
      await start();
      await publish('before');
      for (const [target, fields] of [
        ['/channels/demo', `${sse}Last-Event-ID: ${id}\r\n`],
        [`/channels/demo?lastEventId=${encodeURIComponent(id)}`, sse],
        [`/stream?channel=demo&channel=other&Last-Event-ID=${encodeURIComponent(id)}`, sse],
      ] as const) {
        await using client = await openGet(rig.port, target, fields);
        await client.until(({ received }) => received.includes('everywire.gap'));
        expect(client.received).toContain('Everywire-Continuity: gap');
        const text = `after ${target}`;
        await publish(text);
        await client.until(({ received }) => received.includes(text));
        expect(client.received).not.toContain('before');
        const gap = /id: (\S+)\nevent: everywire\.gap\ndata: (.+)\n/.exec(client.received)!;
        expect(JSON.parse(gap[2]!)).toEqual({ channel: 'demo', reason: 'unknown', cursor: gap[1] });
      }
    },
  );

  it('takes an empty Last-Event-ID, after or since as absent', async () => {
    await start();
    await publish('before');
    for (const [query, fields] of [
      ['', 'Last-Event-ID:\r\n'],
      ['?after=', ''],
      ['?since=&after=&lastEventId=', 'Last-Event-ID: \r\n'],
    ] as const) {
      await using client = await openGet(rig.port, `/channels/demo${query}`, sse + fields);
      await client.until(({ received }) => received.includes('id: '));
      expect(client.received).toContain('Everywire-Continuity: exact');
      const marker = `with ${query}`;
      await publish(marker);
      await client.until(({ received }) => received.includes(marker));
      expect(client.received).not.toContain('before');
    }
  });

  it('resumes by the parameters that polyfills send', async () => {
    await start();
    const first = await publish('one');
    await publish('two');
    for (const parameter of ['lastEventId', 'last-event-id', 'Last-Event-ID']) {
      await using client = await openGet(rig.port, `/channels/demo?since=latest&${parameter}=${first}`, sse);
      await client.until(({ received }) => received.includes('data: two'));
      expect(client.received).not.toContain('data: one');
    }
  });

  it('tells a gap by header and by event, and continues', async () => {
    await start({ namespaces: [{ filter: '**', retention: { countMax: 2 } }] });
    const first = await publish('1');
    for (const text of ['2', '3', '4', '5']) await publish(text);
    await using client = await openGet(rig.port, `/channels/demo?after=${first}`, sse);
    await client.until(({ received }) => received.includes('data: 5'));
    expect(client.received).toContain('Everywire-Continuity: gap');
    const gap = /id: (\S+)\nevent: everywire\.gap\ndata: (.+)\n/.exec(client.received)!;
    expect(JSON.parse(gap[2]!)).toMatchObject({ channel: 'demo', reason: 'retention', cursor: gap[1] });
    expect(client.received.indexOf('everywire.gap')).toBeLessThan(client.received.indexOf('data: 4'));
  });

  it('sends envelopes for filters and when asked to', async () => {
    await start();
    await publish('hello', 'a/b', { 'Everywire-Event': 'tick', 'Everywire-Meta-Lang': 'ko' });
    await using filter = await openGet(rig.port, '/channels/a/*?since=earliest', sse);
    await using asked = await openGet(rig.port, '/channels/a/b?since=earliest&format=envelope', sse);
    for (const client of [filter, asked]) {
      await client.until(({ received }) => /data: \{.+\n\n/.test(received));
      expect(client.received).toContain('event: tick\n');
      const envelope = JSON.parse(/data: (\{.+)\n/.exec(client.received)![1]!) as object;
      expect(envelope).toMatchObject({
        channel: 'a/b',
        data: 'hello',
        event: 'tick',
        headers: { lang: 'ko' },
      });
    }
  });

  it('keeps silence away, and moves the reader along while other channels grow', async () => {
    await start({ limits: { heartbeatEveryMs: 40 } });
    await using client = await openGet(rig.port, '/channels/quiet', sse);
    await client.until(({ received }) => /\n:\n:\n/.test(received));
    const entries = Array.from({ length: 1_000 }, () => ({ channel: 'loud', data: 1 }));
    for (let at = 0; at < 10; at += 1) {
      await fetch(`${rig.front.url}/publish`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(entries),
      });
    }
    const head = formatCursor(rig.hub.head);
    await client.until(({ received }) => received.includes(`id: ${head}\nevent: everywire.position\n`));
    // No blank line but the ends of these two events.
    expect(client.received.split('\r\n\r\n')[1]!.match(/\n\n/g)).toHaveLength(2);
    expect(client.received.match(/^data: /gm)).toHaveLength(2);
  });

  it('says where it begins by an event only to a reader whose request would begin elsewhere later', async () => {
    await start();
    const cursor = await publish('one');
    for (const [query, count] of [
      ['', 1],
      ['?since=latest', 1],
      ['?since=-5m', 1],
      ['?since=earliest', 0],
      [`?after=${cursor}`, 0],
    ] as const) {
      await using client = await openGet(rig.port, `/channels/demo${query}`, sse);
      await client.until(({ received }) => received.includes('\nid: '));
      const marker = `end of ${query}`;
      await publish(marker);
      await client.until(({ received }) => received.includes(`data: ${marker}`));
      expect(client.received.match(/everywire\.position/g) ?? []).toHaveLength(count);
    }
  });

  it('answers HEAD with the head alone and leaves nothing behind', async () => {
    await start();
    const response = await fetch(`${rig.front.url}/channels/demo`, {
      method: 'HEAD',
      headers: { Accept: 'text/event-stream' },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/text\/event-stream/);
    expect(response.headers.get('everywire-continuity')).toBe('exact');
    expect(rig.hub.figures.subscriptions).toBe(0);
    expect(rig.hub.figures.sessions.get('sse')).toBe(0);
    const bad = await fetch(`${rig.front.url}/channels/a+b`, {
      method: 'HEAD',
      headers: { Accept: 'text/event-stream' },
    });
    expect(bad.status).toBe(400);
  });

  it('serves HTTP/1.0', async () => {
    await start();
    await publish('hello');
    await using client = new WireClient(rig.port);
    await client.send(`GET /channels/demo?since=earliest HTTP/1.0\r\n${sse}\r\n`);
    await client.until(({ received }) => received.includes('data: hello'));
    expect(client.received).not.toMatch(/transfer-encoding/i);
  });

  it.each(['end', 'destroy', 'resetAndDestroy'] as const)(
    'ends the session when the peer does %s',
    async (how) => {
      await start();
      const client = await openGet(rig.port, '/channels/demo', sse);
      await client.until(({ received }) => received.includes('id: '));
      expect(rig.hub.figures.subscriptions).toBe(1);
      client.socket[how]();
      await client.closed();
      while (rig.hub.figures.subscriptions > 0) await new Promise(setImmediate);
      expect(rig.hub.figures.sessions.get('sse')).toBe(0);
    },
  );

  it('takes no request from a connection that became a stream', async () => {
    await start();
    await using client = await openGet(rig.port, '/channels/demo', sse);
    await client.until(({ received }) => received.includes('id: '));
    await client.send('POST /channels/demo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx');
    await publish('real');
    await client.until(({ received }) => received.includes('data: real'));
    expect(client.received).not.toContain('data: x');
    expect(client.received.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it('holds a peer that does not read, and brings it everything when it does', async () => {
    await start();
    await using client = await openGet(rig.port, '/channels/demo?since=earliest', sse);
    await client.until(({ received }) => received.includes('id: '));
    client.socket.pause();
    const text = 'x'.repeat(20_000);
    const count = 700;
    for (let at = 0; at < count; at += 1) {
      const bodies = Array.from({ length: 1 }, () => ({
        channel: 'demo',
        type: 'text/plain',
        data: `${at}:${text}`,
      }));
      await fetch(`${rig.front.url}/publish`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(bodies),
      });
    }
    expect(rig.hub.figures.delivered).toBeLessThan(count);
    client.socket.resume();
    await client.until(({ received }) => received.includes(`data: ${count - 1}:`));
    const numbers = [...client.received.matchAll(/^data: (\d+):/gm)].map((match) => Number(match[1]));
    expect(numbers).toEqual(Array.from({ length: count }, (_, at) => at));
  });

  it('says goodbye with a time to come back when the node drains', async () => {
    await start();
    const client = await openGet(rig.port, '/channels/demo', sse);
    await client.until(({ received }) => received.includes('id: '));
    const transport = rig.transports.find(({ name }) => name === 'sse')!;
    rig.hub.beginDrain();
    const drained = transport.drain(new AbortController().signal);
    await client.closed();
    client.socket.destroy();
    await drained;
    expect(client.received).toMatch(/: goaway\nretry: \d+\n$/);
    expect(rig.hub.figures.subscriptions).toBe(0);
  });

  it('is refused when the node drains before the stream has started', async () => {
    await start();
    const held = new HeldFollow(rig.hub);
    const response = fetch(`${rig.front.url}/channels/demo`, { headers: { Accept: 'text/event-stream' } });
    await held.isAsked;
    rig.hub.beginDrain();
    held.release();
    expect((await response).status).toBe(503);
    expect((await response).headers.get('retry-after')).toMatch(/^\d+$/);
    await (await response).text();
  });

  it('cuts at the deadline a reader that does not leave', async () => {
    await start();
    const client = await openGet(rig.port, '/channels/demo', sse);
    await client.until(({ received }) => received.includes('id: '));
    client.socket.pause();
    const deadline = new AbortController();
    rig.hub.beginDrain();
    const drained = rig.transports.find(({ name }) => name === 'sse')!.drain(deadline.signal);
    deadline.abort();
    await drained;
    client.socket.destroy();
  });

  it('works with the EventSource of another project', async () => {
    await start({ limits: { retryAfterMs: 10 } });
    const source = new EventSource(`${rig.front.url}/channels/demo?since=earliest`);
    const texts: string[] = [];
    await once(source, 'open');
    const second = new Promise<void>((resolve) => {
      source.addEventListener('message', (event) => {
        texts.push(event.data as string);
        if (texts.length === 2) resolve();
      });
    });
    await publish('line 1\nline 2');
    await publish('한국어');
    await second;
    source.close();
    expect(texts).toEqual(['line 1\nline 2', '한국어']);
  });
});
