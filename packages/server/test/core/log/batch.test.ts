import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batch, concatenateText, type WireFormat } from '../../../src/core/log/batch.ts';
import { makeMessage } from '../make-message.ts';

function countingFormat(): WireFormat & { calls: number } {
  const format = {
    id: 'test',
    calls: 0,
    encode(messages: readonly { readonly payload: Buffer }[]) {
      format.calls += 1;
      return concatenateText(messages.map((message) => `<${message.payload.toString()}>`));
    },
  };
  return format;
}

const run = (seqs: readonly number[]) => new Batch(seqs.map((seq) => makeMessage({ seq })));

describe('batch', () => {
  it('encodes once per format and hands everyone the same bytes', () => {
    const format = countingFormat();
    const other = { ...countingFormat(), id: 'other' };
    const batch = run([1, 2, 3]);
    expect(batch.as(format).bytes.toString()).toBe('<m1><m2><m3>');
    batch.as(other);
    expect(batch.as(format).bytes).toBe(batch.as(format).bytes);
    expect(batch.as(other).bytes).toBe(batch.as(other).bytes);
    expect(format.calls).toBe(1);
  });

  it('remembers a bounded number of encodings, for any formats that peers make up', () => {
    const formats = Array.from({ length: 100 }, (_, at) => ({ ...countingFormat(), id: `own:${at}` }));
    const batch = run([1]);
    const first = formats.map((format) => batch.as(format).bytes);
    const again = formats.map((format) => batch.as(format).bytes);
    expect(again).toEqual(first);
    expect(again.filter((bytes, at) => bytes === first[at])).toHaveLength(16);
  });

  it('gives late joiners slices of the same bytes, equal to encoding the rest', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 41 }),
        fc.integer({ min: 1, max: 12 }),
        (unsorted, after, count) => {
          const seqs = unsorted.sort((left, right) => left - right);
          const format = countingFormat();
          const batch = run(seqs);
          const view = batch.since(after);
          const rest = seqs.filter((seq) => seq > after);
          if (view === undefined) {
            expect(rest).toEqual([]);
            return;
          }
          const part = view.first(count);
          expect(part.messages.map(({ seq }) => seq)).toEqual(rest.slice(0, count));
          expect(part.as(format).bytes.toString()).toBe(
            rest
              .slice(0, count)
              .map((seq) => `<m${seq}>`)
              .join(''),
          );
          expect(part.as(format).bytes.buffer).toBe(batch.as(format).bytes.buffer);
          expect(format.calls).toBe(1);
        },
      ),
    );
  });

  it('encodes again what no longer is a run of the same bytes', () => {
    const format = countingFormat();
    const batch = run([1, 2, 3]);
    const odd = batch.only(({ seq }) => seq !== 2)!;
    expect(odd.as(format).bytes.toString()).toBe('<m1><m3>');
    expect(batch.only(() => true)).toBe(batch);
    expect(batch.only(() => false)).toBeUndefined();
  });

  it('leaves out what has expired', () => {
    const batch = new Batch([makeMessage({ seq: 1, expiresAtMs: 100 }), makeMessage({ seq: 2 })]);
    expect(batch.unexpired(99)).toBe(batch);
    expect(batch.unexpired(100)!.messages.map(({ seq }) => seq)).toEqual([2]);
  });
});
