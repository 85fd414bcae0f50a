import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Window } from '../../src/core/window.ts';
import { makeMessage } from './make-message.ts';

const start = makeMessage({ seq: 1 }).position;
const at = (seq: number) => makeMessage({ seq });

describe('window', () => {
  it('has room for what was acknowledged, cumulatively or one by one', () => {
    const window = new Window({ messagesMax: 3 }, start);
    window.add([at(2), at(3), at(4)]);
    expect(window.room).toBe(0);
    window.ack(3, true);
    expect(window.room).toBe(0);
    window.ack(2, true);
    expect(window.room).toBe(2);
    window.ack(99, false);
    expect(window.room).toBe(3);
  });

  it('delivers again exactly what was not acknowledged', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 2, max: 21 })), fc.boolean(), (acked, cumulative) => {
        const window = new Window({ messagesMax: 20 }, start);
        const all = Array.from({ length: 20 }, (_, index) => at(index + 2));
        window.add(all);
        for (const seq of acked) window.ack(seq, !cumulative);
        const isAcked = (seq: number) => (cumulative ? seq <= Math.max(0, ...acked) : acked.includes(seq));
        const position = window.rewind(all.at(-1)!.position);
        const again = all
          .filter(({ seq }) => seq > position.seq && !window.isAcked(seq))
          .map(({ seq }) => seq);
        expect(again).toEqual(all.filter(({ seq }) => !isAcked(seq)).map(({ seq }) => seq));
        if (again.length > 0) expect(window.redeliveredThroughSeq).toBe(21);
      }),
    );
  });

  it('ignores acks of what was never delivered', () => {
    const window = new Window({ messagesMax: 2 }, start);
    window.add([at(5)]);
    window.ack(4, true);
    window.ack(4, false);
    window.ack(77, true);
    expect(window.room).toBe(1);
  });
});
