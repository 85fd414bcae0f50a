import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGet } from '../../../../../test/clients/http/wire-client.ts';
import { startRig, type Rig } from '../../http/rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ limits: { heartbeatEveryMs: 200 } });
});
afterAll(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

interface Line {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly data: string;
}

async function publishAll(
  entries: readonly { readonly channel: string; readonly data: string }[],
): Promise<void> {
  const response = await fetch(`${rig.front.url}/publish`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(entries.map((entry) => ({ ...entry, type: 'text/plain' }))),
  });
  expect(response.status).toBe(200);
}

/** The messages of a response: whole lines that are not blank. */
function linesOf(received: string): Line[] {
  const body = received.slice(received.indexOf('\r\n\r\n') + 4);
  return body
    .slice(0, body.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

describe('an HTTP stream', () => {
  it('is one envelope a line, with blank lines against silence', async () => {
    await publishAll([{ channel: 'one', data: 'a\nb' }]);
    await using client = await openGet(
      rig.port,
      '/channels/one?since=earliest',
      'Accept: application/x-ndjson\r\n',
    );
    await client.until(({ received }) => linesOf(received).length === 1);
    expect(linesOf(client.received)[0]).toMatchObject({ channel: 'one', offset: 1, data: 'a\nb' });
    expect(client.received).toMatch(/Content-Type: application\/x-ndjson\r\n/);
    const before = client.received.length;
    await client.until(({ received }) => received.length > before);
    expect(client.received.slice(before)).toMatch(/^\n+$/);
  });

  it('is what /stream answers by default; Accept asks for events', async () => {
    await publishAll([{ channel: 'two', data: 'x' }]);
    await using plain = await openGet(rig.port, '/stream?channel=two&since=earliest', 'Accept: */*\r\n');
    await plain.until(({ received }) => linesOf(received).length === 1);
    await using events = await openGet(
      rig.port,
      '/stream?channel=two&since=earliest',
      'Accept: text/event-stream\r\n',
    );
    await events.until(({ received }) => /^data: \{"channel":"two"/m.test(received));
  });

  it('answers /stream with wait as a long poll', async () => {
    const url = `${rig.front.url}/stream?channel=poll/a&channel=poll/b&wait=30s`;
    const [response] = await Promise.all([
      fetch(url),
      (async () => {
        while (rig.hub.figures.sessions.get('poll') !== 1) await new Promise(setImmediate);
        while (rig.hub.dispatcher.subscribersOf('poll/b') === 0) await new Promise(setImmediate);
        await publishAll([{ channel: 'poll/b', data: 'x' }]);
      })(),
    ]);
    expect(await response.json()).toMatchObject({
      messages: [{ channel: 'poll/b', data: 'x' }],
      continuity: 'exact',
    });
  });

  it('merges filters in seq order, each message once, and any cursor of it resumes exactly', async () => {
    const channels = ['m/a', 'm/b/1', 'm/b/2', 'm/c'];
    const target = '/stream?channel=m/a&channel=m/b/**&channel=m/*';
    const publishing = fc.array(fc.constantFrom(...channels), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(publishing, publishing, fc.nat(), async (before, after, cut) => {
        const start = rig.hub.head;
        const cursor = `1${start.epoch}.${start.seq.toString(36)}.${start.tag}`;
        const name = (channel: string, at: number): { channel: string; data: string } => ({
          channel,
          data: `${at}`,
        });
        // Some is in the log when the reader comes, some arrives while it reads.
        await publishAll(before.map(name));
        await using client = await openGet(rig.port, `${target}&after=${cursor}`);
        await publishAll(after.map((channel, at) => name(channel, before.length + at)));
        const total = before.length + after.length;
        await client.until(({ received }) => linesOf(received).length >= total);
        const lines = linesOf(client.received);
        expect(lines.map(({ data }) => Number(data))).toEqual(Array.from({ length: total }, (_, at) => at));
        const place = cut % total;
        await using again = await openGet(rig.port, `${target}&after=${lines[place]!.cursor}`);
        await again.until(({ received }) => linesOf(received).length >= total - place - 1);
        expect(linesOf(again.received)).toEqual(lines.slice(place + 1));
      }),
      { numRuns: 25 },
    );
  });

  it('tells a gap in a line', async () => {
    await using small = await startRig({ namespaces: [{ filter: '**', retention: { countMax: 1 } }] });
    const post = async (): Promise<string> => {
      const response = await fetch(`${small.front.url}/channels/g`, { method: 'POST', body: 'x' });
      return ((await response.json()) as { cursor: string }).cursor;
    };
    const first = await post();
    for (let at = 0; at < 3; at += 1) await post();
    const target = `/channels/g?after=${first}`;
    await using client = await openGet(small.port, target, 'Accept: application/x-ndjson\r\n');
    await client.until(({ received }) => linesOf(received).length === 2);
    const [gap, message] = linesOf(client.received) as unknown as [{ gap: object }, Line];
    expect(gap.gap).toMatchObject({ channel: 'g', reason: 'retention' });
    expect(message.offset).toBe(4);
    expect(client.received).toContain('Everywire-Continuity: gap');
  });
});
