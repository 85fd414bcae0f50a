import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCursor } from '../../src/cursor.ts';
import { payloadMember, writeEnvelope, type GapNotice } from '../../src/envelope.ts';
import { EverywireError } from '../../src/errors.ts';
import {
  endedFrame,
  gapFrame,
  goawayFrame,
  messageMark,
  okAnswer,
  publishedAnswer,
  readFrame,
  refusedAnswer,
  subscribedAnswer,
} from '../../src/everywire-v1/answers.ts';
import { closeOf, gapReason, readClose, readGapReason } from '../../src/everywire-v1/close.ts';

const cursor = '1abcdef.z.0123456789abcdef';
const notice: GapNotice = { channel: 'a', from: 3, to: 5, reason: 'retention', cursor };
const read = (text: string) => readFrame(JSON.parse(text));
const ids = fc.oneof(fc.string(), fc.integer());

describe('answers and notices', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(ids, fc.nat(), fc.string(), fc.boolean(), (id, offset, message, duplicate) => {
        const text = JSON.stringify(id);
        expect(read(okAnswer(text))).toEqual({ op: 'accepted', id });
        expect(read(publishedAnswer(text, { offset, cursor, id: message, duplicate }))).toEqual({
          op: 'accepted',
          id,
          offset,
          cursor,
          message,
          ...(duplicate ? { duplicate } : {}),
        });
        expect(read(subscribedAnswer(text, cursor, undefined))).toEqual({
          op: 'accepted',
          id,
          cursor,
          continuity: 'exact',
        });
        expect(read(subscribedAnswer(text, cursor, notice))).toEqual({
          op: 'accepted',
          id,
          cursor,
          continuity: 'gap',
          gap: notice,
        });
        const error = new EverywireError('rate_limited', message, { retryAfterMs: offset });
        const refusal = { code: 'rate_limited', message, retryAfterMs: offset };
        expect(read(refusedAnswer(text, error))).toEqual({ op: 'refused', id, refusal });
        expect(read(refusedAnswer(undefined, error))).toEqual({ op: 'refused', id: undefined, refusal });
        expect(read(endedFrame(message, error))).toEqual({
          op: 'ended',
          channel: message,
          refusal: { code: 'rate_limited', message },
        });
      }),
    );
    expect(read(endedFrame('a', undefined))).toEqual({ op: 'ended', channel: 'a', refusal: undefined });
    expect(read(gapFrame(notice))).toEqual({ op: 'gap', notice });
    expect(read(goawayFrame(5))).toEqual({ op: 'goaway', retryAfterMs: 5 });
  });

  it('a message is its envelope', () => {
    const fields = { channel: 'a', offset: 1, cursor, id: 'i', timeMs: 0, type: 'text/plain' };
    const member = payloadMember('text/plain', new TextEncoder().encode('hi'));
    expect(read(writeEnvelope(fields, member, messageMark))).toEqual({
      op: 'message',
      envelope: JSON.parse(writeEnvelope(fields, member)),
    });
  });

  it('of any JSON are a frame or nothing', () => {
    const ops = fc.constantFrom('message', 'gap', 'ended', 'goaway', 'newer', undefined);
    const anything = fc.record(
      {
        op: ops,
        id: fc.jsonValue(),
        ok: fc.oneof(fc.boolean(), fc.jsonValue()),
        error: fc.jsonValue(),
        gap: fc.jsonValue(),
        channel: fc.jsonValue(),
        retryAfterMs: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(anything, fc.jsonValue()), (value) => {
        const frame = readFrame(value);
        if (frame !== undefined) expect(frame.op).toBeTypeOf('string');
      }),
    );
  });
});

describe('close reasons', () => {
  it('begin with the code, for programs', () => {
    const { code, reason } = closeOf(new EverywireError('store_full', 'The disk is full: 9 GiB.'));
    expect(readClose(code, reason)).toEqual({
      closeCode: 1013,
      code: 'store_full',
      message: 'The disk is full: 9 GiB.',
    });
  });

  it.each(['', 'Going away', 'no_code: of ours', 'http://example.com', 'toString: x'])(
    '%j has no code',
    (reason) => {
      expect(readClose(1006, reason)).toEqual({ closeCode: 1006, code: undefined, message: reason });
    },
  );

  it('of a gap fit a Close frame, for any numbers', () => {
    const far = Number.MAX_SAFE_INTEGER;
    const farthest = formatCursor({ epoch: 'zzzzzz', seq: far, tag: 'ffffffffffffffff' });
    const gap = { ...notice, channel: 'c'.repeat(255), from: far, to: far, cursor: farthest };
    expect(Buffer.byteLength(gapReason(gap))).toBeLessThanOrEqual(123);
    expect(gapReason({ channel: 'a', reason: 'retention', cursor: farthest })).toMatch(
      /^gap retention after=1zzzzzz\./,
    );
  });

  it('of a gap name the missing offsets and the next cursor', () => {
    expect({ channel: 'a', ...readGapReason(gapReason(notice)) }).toEqual(notice);
    expect(readGapReason(gapReason({ channel: 'a', reason: 'retention', cursor }))).toEqual({
      reason: 'retention',
      cursor,
    });
    for (const other of ['', 'gap', 'gap retention', 'gap retention after=', 'gap x 1- after=c'])
      expect(readGapReason(other)).toBeUndefined();
  });
});
