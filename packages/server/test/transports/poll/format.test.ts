import { describe, expect, it } from 'vitest';
import { Message } from '../../../src/core/log/message.ts';
import type { Page } from '../../../src/core/seams/store.ts';
import { mergePages } from '../../../src/transports/poll/pages.ts';
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

function page(seqs: readonly number[], throughSeq: number, atHead = true): Page {
  return { messages: seqs.map((seq) => message(seq)), through: position(throughSeq), atHead, gaps: [] };
}

describe('a page', () => {
  it('is the same JSON from a batch as from a read', () => {
    const messages = [message(1), message(2)];
    const cursor = messages[1]!.cursor;
    expect(pollFormat.encode(messages).bytes.toString()).toBe(pageJson({ messages, cursor, gaps: [] }));
    expect(JSON.parse(pageJson({ messages, cursor, gaps: [] }))).toMatchObject({
      messages: [{ offset: 1, data: '1' }, { offset: 2 }],
      cursor,
      continuity: 'exact',
    });
  });

  it('says what is missing', () => {
    const gap = { channel: 'demo', from: 1, to: 3, reason: 'retention' as const, next: position(3) };
    const one = JSON.parse(pageJson({ messages: [], cursor: 'x', gaps: [gap] })) as Record<string, unknown>;
    expect(one).toMatchObject({ continuity: 'gap', gap: { from: 1, to: 3, reason: 'retention' } });
    expect(one).not.toHaveProperty('gaps');
    const two = JSON.parse(pageJson({ messages: [], cursor: 'x', gaps: [gap, gap] })) as { gaps: unknown[] };
    expect(two.gaps).toHaveLength(2);
  });
});

describe('merged pages', () => {
  it('hold back what lies beyond a filter that was not read that far', () => {
    const merged = mergePages([page([1, 5, 9], 9), page([2, 4], 4, false)], 10, false);
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 4]);
    expect(merged.cursor).toBe('1abcdef.4.0123456789abcdef');
  });

  it('show a message that two filters match once', () => {
    const merged = mergePages([page([1, 2], 3), page([2, 3], 3)], 10, false);
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it('cut a surplus where the cursor can resume, or at the front when the newest are asked for', () => {
    const cut = mergePages([page([1, 3], 4), page([2, 4], 4)], 3, false);
    expect(cut.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(cut.cursor).toBe('1abcdef.3.0123456789abcdef');
    const newest = mergePages([page([1, 3], 4), page([2, 4], 4)], 3, true);
    expect(newest.messages.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(newest.cursor).toBe('1abcdef.4.0123456789abcdef');
  });
});

describe('request fields', () => {
  it.each([
    [undefined, []],
    ['"a"', ['a']],
    ['W/"a"', ['a']],
    ['"a", W/"b" ,"c"', ['a', 'b', 'c']],
    ['*', []],
    ['a', []],
    ['"a', []],
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
