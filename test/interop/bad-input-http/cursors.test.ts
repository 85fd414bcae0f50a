import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRig, type Rig } from '../../../packages/server/test/http/rig.ts';
import { openGet } from '../../clients/http/wire-client.ts';

let rig: Rig;
/** Cursors of ten messages in `a`, each followed by one in `b`. */
const ofA: string[] = [];
const ofB: string[] = [];

beforeAll(async () => {
  rig = await startRig();
  const post = async (channel: string): Promise<string> => {
    const response = await fetch(`${rig.front.url}/channels/${channel}`, { method: 'POST', body: 'x' });
    return ((await response.json()) as { cursor: string }).cursor;
  };
  for (let at = 0; at < 10; at += 1) {
    ofA.push(await post('a'));
    ofB.push(await post('b'));
  }
});

afterAll(async () => {
  await rig.stop();
  expect(rig.complaints).toEqual([]);
});

interface Told {
  readonly status: number;
  readonly continuity: string | null;
  readonly offsets: readonly number[];
}

async function poll(filter: string, after: string): Promise<Told> {
  const response = await fetch(`${rig.front.url}/channels/${filter}?after=${encodeURIComponent(after)}`);
  const page = (await response.json()) as { messages?: { offset: number }[] };
  const continuity = response.headers.get('everywire-continuity');
  return { status: response.status, continuity, offsets: (page.messages ?? []).map(({ offset }) => offset) };
}

/** The head of an endless answer, by which a reader learns whether it missed something. */
async function streamHead(
  after: string,
  accept: string,
): Promise<{ status: number; continuity: string | undefined }> {
  await using client = await openGet(
    rig.port,
    `/channels/a?after=${encodeURIComponent(after)}`,
    `Accept: ${accept}\r\n`,
  );
  await client.until(({ received }) => received.includes('\r\n\r\n'));
  const status = Number(client.received.slice(9, 12));
  return { status, continuity: /everywire-continuity: (\w+)/i.exec(client.received)?.[1] };
}

describe('cursors (BAD-INPUT 2)', () => {
  it('with any one bit flipped are malformed or a gap, and never pass', async () => {
    const cursor = ofA[4]!;
    const outcomes = new Set<string>();
    for (let at = 0; at < cursor.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = String.fromCharCode(cursor.charCodeAt(at) ^ (1 << bit));
        const told = await poll('a', cursor.slice(0, at) + flipped + cursor.slice(at + 1));
        if (told.status === 400) outcomes.add('malformed');
        else expect([told.status, told.continuity]).toEqual([200, 'gap']);
        if (told.continuity === 'gap') outcomes.add('gap');
      }
    }
    expect([...outcomes].sort()).toEqual(['gap', 'malformed']);
  });

  it('cut at any character, or padded, are malformed', async () => {
    const cursor = ofA[4]!;
    const wrong = Array.from({ length: cursor.length - 1 }, (_, at) => cursor.slice(0, at + 1));
    for (const text of [...wrong, `${cursor}0`, ` ${cursor}`, `${cursor} `, `${cursor}=`]) {
      expect((await poll('a', text)).status).toBe(400);
      for (const accept of ['text/event-stream', 'application/x-ndjson']) {
        expect((await streamHead(text, accept)).status).toBe(400);
      }
    }
  });

  it('are places in the whole store: of one channel or a wildcard, used on the other', async () => {
    expect((await poll('b', ofA[4]!)).offsets).toEqual([5, 6, 7, 8, 9, 10]);
    expect((await poll('a', ofB[4]!)).offsets).toEqual([6, 7, 8, 9, 10]);
    expect((await poll('**', ofA[8]!)).offsets).toEqual([9, 10, 10]);
    expect((await poll('unused', ofA[4]!)).continuity).toBe('exact');
  });

  it('of another epoch, above the head, or with the tag of another message are a gap on every view', async () => {
    const [epoch, seq, tag] = [ofA[4]!.slice(1, 7), ofA[4]!.split('.')[1]!, ofA[4]!.split('.')[2]!];
    const forged = [
      `1zzzzzz.${seq}.${tag}`,
      `1${epoch}.zzzz.${tag}`,
      `1${epoch}.${seq}.${ofA[5]!.split('.')[2]!}`,
    ];
    for (const cursor of forged) {
      expect(await poll('a', cursor)).toMatchObject({ status: 200, continuity: 'gap' });
      for (const accept of ['text/event-stream', 'application/x-ndjson']) {
        expect(await streamHead(cursor, accept)).toEqual({ status: 200, continuity: 'gap' });
      }
    }
  });
});
