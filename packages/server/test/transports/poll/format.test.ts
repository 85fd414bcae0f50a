import { describe, expect, it } from 'vitest';
import { formatCursor } from '@everywire/protocol';
import { Message } from '../../../src/core/log/message.ts';
import { cursorsOf, pageJson, pollFormat, preferredWaitMs } from '../../../src/transports/poll/format.ts';

const position = (seq: number): { epoch: string; seq: number; tag: string } => ({
  epoch: 'abcdef',
  seq,
  tag: '0123456789abcdef',
});

function message(seq: number, channel = 'demo'): Message {
  const place = { ...position(seq), offset: seq };
  const payload = Buffer.from(`"${seq}"`);
  return new Message(channel, place, { id: `id-${seq}`, timeMs: 0, type: 'application/json', payload });
}

describe('a page', () => {
  it('is the same JSON from a batch as from a read', () => {
    const messages = [message(1), message(2)];
    const cursor = messages[1]!.cursor;
    expect(pollFormat.encode(messages).bytes.toString()).toBe(
      pageJson({ messages, cursor, gaps: [], more: false }),
    );
    expect(JSON.parse(pageJson({ messages, cursor, gaps: [], more: false }))).toMatchObject({
      messages: [{ offset: 1, data: '1' }, { offset: 2 }],
      cursor,
      continuity: 'exact',
    });
  });

  it('says what is missing', () => {
    const gap = { channel: 'demo', from: 1, to: 3, reason: 'retention' as const, next: position(3) };
    const one = JSON.parse(pageJson({ messages: [], cursor: 'x', gaps: [gap], more: false })) as Record<
      string,
      unknown
    >;
    expect(one).toMatchObject({ continuity: 'gap', gap: { from: 1, to: 3, reason: 'retention' } });
    expect(one).not.toHaveProperty('gaps');
    const two = JSON.parse(pageJson({ messages: [], cursor: 'x', gaps: [gap, gap], more: true })) as {
      gaps: unknown[];
    };
    expect(two.gaps).toHaveLength(2);
    expect(one).not.toHaveProperty('more');
    expect(two).toHaveProperty('more', true);
  });
});

const [a, b, c] = [1, 2, 3].map((seq) => formatCursor(position(seq))) as [string, string, string];

describe('request fields', () => {
  it.each([
    [undefined, []],
    [`"${a}"`, [a]],
    [`W/"${a}"`, [a]],
    [`"${a}", W/"${b}" ,"${c}"`, [a, b, c]],
    ['*', []],
    [a, []],
    [`"${a}`, []],
    [`"${a}-gzip"`, []],
    [`W/"foreign", "${b}"`, [b]],
  ])('If-None-Match: %s', (field, cursors) => {
    expect(cursorsOf(field)).toEqual(cursors);
  });

  it.each([
    ['wait=30', 30_000],
    ['respond-async, wait=5', 5_000],
    ['wait = "7"', 7_000],
    ['Wait=1; strict', 1_000],
    ['wait=-1', undefined],
    ['wait=soon', undefined],
    ['handling=lenient', undefined],
  ])('Prefer: %s', (field, waitMs) => {
    expect(preferredWaitMs(field)).toBe(waitMs);
  });
});
