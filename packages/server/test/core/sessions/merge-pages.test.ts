import { formatCursor } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { Message } from '../../../src/core/log/message.ts';
import type { Page } from '../../../src/core/seams/store.ts';
import { mergePages } from '../../../src/core/sessions/merge-pages.ts';

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

describe('merged pages', () => {
  it('hold back what lies beyond a filter that was not read that far', () => {
    const merged = mergePages([page([1, 5, 9], 9), page([2, 4], 4, false)], 10, false);
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 4]);
    expect(formatCursor(merged.through)).toBe('1abcdef.4.0123456789abcdef');
  });

  it('show a message that two filters match once', () => {
    const merged = mergePages([page([1, 2], 3), page([2, 3], 3)], 10, false);
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it('cut a surplus where the cursor can continue, or at the front when the newest are asked for', () => {
    const cut = mergePages([page([1, 3], 4), page([2, 4], 4)], 3, false);
    expect(cut.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(formatCursor(cut.through)).toBe('1abcdef.3.0123456789abcdef');
    const newest = mergePages([page([1, 3], 4), page([2, 4], 4)], 3, true);
    expect(newest.messages.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(formatCursor(newest.through)).toBe('1abcdef.4.0123456789abcdef');
  });
});
