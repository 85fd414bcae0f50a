import { formatCursor } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { estimateBytes, Message } from '../../../src/core/log/message.ts';
import type { Page, PageLimit } from '../../../src/core/seams/store.ts';
import { mergePages, newest } from '../../../src/core/sessions/merge-pages.ts';

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

const limitOf = (messagesMax: number, bytesMax = 1e6): PageLimit => ({ messagesMax, bytesMax });

describe('merged pages', () => {
  it('hold back what lies beyond a filter that was not read that far', () => {
    const merged = mergePages([page([1, 5, 9], 9), page([2, 4], 4, false)], limitOf(10));
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 4]);
    expect(formatCursor(merged.through)).toBe('1abcdef.4.0123456789abcdef');
  });

  it('show a message that two filters match once', () => {
    const merged = mergePages([page([1, 2], 3), page([2, 3], 3)], limitOf(10));
    expect(merged.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it('cut a surplus where the cursor can continue, or at the front when the newest are asked for', () => {
    const cut = mergePages([page([1, 3], 4), page([2, 4], 4)], limitOf(3));
    expect(cut.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(formatCursor(cut.through)).toBe('1abcdef.3.0123456789abcdef');
    expect(cut.atHead).toBe(false);
    const all = [1, 2, 3, 4].map((seq) => message(seq));
    expect(newest(all, limitOf(3)).map(({ seq }) => seq)).toEqual([2, 3, 4]);
  });

  it('are bounded by bytes as well, and have at least one message', () => {
    const bytes = estimateBytes(message(1));
    const pages = [page([1, 3], 4), page([2, 4], 4)];
    expect(mergePages(pages, limitOf(10, 3 * bytes)).messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(mergePages(pages, limitOf(10, 1)).messages.map(({ seq }) => seq)).toEqual([1]);
    const all = [1, 2, 3, 4].map((seq) => message(seq));
    expect(newest(all, limitOf(10, 3 * bytes)).map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(newest(all, limitOf(10, 1)).map(({ seq }) => seq)).toEqual([4]);
  });
});
