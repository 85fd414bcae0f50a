import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Position } from '@everywire/protocol';
import type { Message } from '../../../src/core/log/message.ts';
import { Window, type WindowOptions } from '../../../src/core/fanout/window.ts';
import { makeMessage } from '../make-message.ts';

const start = makeMessage({ seq: 1 }).position;
const at = (seq: number) => makeMessage({ seq });
const seqsOf = (messages: readonly Message[]) => messages.map(({ seq }) => seq);

/** A window with the position of its subscription, offered messages as a subscription offers them. */
class Bench {
  readonly window: Window;
  position: Position;

  constructor(options: WindowOptions, from = start) {
    this.window = new Window(options, from);
    this.position = from;
  }

  /** Hands over what is wanted of `messages`, as far as there is room, and returns that. */
  offer(messages: readonly Message[]): readonly Message[] {
    const wanted = messages.filter((message) => message.seq > this.position.seq);
    const given = wanted
      .filter((message) => this.window.isWanted(message))
      .slice(0, Math.max(0, this.window.room));
    const isAll = wanted.every((message) => given.includes(message) || !this.window.isWanted(message));
    const end = isAll ? wanted.at(-1)?.position : given.at(-1)?.position;
    if (given.length > 0) this.window.add(given, this.position);
    if (end !== undefined) this.#passTo(end);
    return given;
  }

  rewind(): void {
    this.position = this.window.rewind(this.position) ?? this.position;
  }

  release(seq: number): void {
    this.position = this.window.release(seq, this.position) ?? this.position;
  }

  #passTo(position: Position): void {
    this.position = this.window.pass(position);
  }
}

describe('window', () => {
  it('has room for what was acknowledged, cumulatively or one by one', () => {
    const { window, ...bench } = new Bench({ messagesMax: 3 });
    expect(bench).toBeDefined();
    window.add([at(2), at(3), at(4)], start);
    window.pass(at(4).position);
    expect(window.room).toBe(0);
    window.ack(3, true);
    expect(window.room).toBe(1);
    window.ack(2, true);
    expect(window.room).toBe(2);
    window.ack(99, false);
    expect(window.room).toBe(3);
  });

  it('ignores acks of what was never delivered', () => {
    const bench = new Bench({ messagesMax: 2 });
    bench.offer([at(5)]);
    bench.window.ack(4, true);
    bench.window.ack(4, false);
    bench.window.ack(77, true);
    expect(bench.window.room).toBe(1);
  });

  it('a restored window does not pass what it was not given again, however much was acknowledged above it', () => {
    const before = new Bench({ messagesMax: 10 });
    before.offer([at(11), at(12), at(13)]);
    before.window.ack(13, true);
    const after = new Bench({ messagesMax: 1, progress: before.window.progress });
    expect(seqsOf(after.offer([at(11), at(12), at(13)]))).toEqual([11]);
    after.window.ack(11, true);
    expect(after.window.ackedThrough.seq).toBe(11);
    expect(seqsOf(after.offer([at(12), at(13)]))).toEqual([12]);
    after.window.ack(12, true);
    expect(after.window.ackedThrough.seq).toBe(13);
  });

  it('what was acknowledged is passed when it is skipped', () => {
    const before = new Bench({ messagesMax: 10 });
    before.offer([at(11), at(12)]);
    before.window.ack(12, true);
    const after = new Bench({ messagesMax: 10, progress: before.window.progress });
    expect(seqsOf(after.offer([at(11), at(12)]))).toEqual([11]);
    after.window.ack(11, true);
    expect(after.window.isEmpty).toBe(true);
    expect(after.window.ackedThrough.seq).toBe(12);
  });

  it('one message without an answer stops nothing behind it, and costs no more the further it is behind', () => {
    const bench = new Bench({ messagesMax: 4 });
    bench.offer([at(2)]);
    for (let seq = 3; seq < 10_000; seq += 1) {
      expect(seqsOf(bench.offer([at(seq)]))).toEqual([seq]);
      bench.window.ack(seq, true);
    }
    const { progress } = bench.window;
    expect(progress).toMatchObject({
      cursor: at(1).cursor,
      acksAboveWatermark: [[at(3).cursor, at(9_999).cursor]],
    });

    const after = new Bench({ messagesMax: 4, progress });
    const all = Array.from({ length: 10_005 }, (_, index) => at(index + 2));
    expect(seqsOf(after.offer(all))).toEqual([2, 10_000, 10_001, 10_002]);
    after.window.ack(2, true);
    expect(after.window.ackedThrough.seq).toBe(9_999);
  });

  it('a range that was acknowledged in a log that lost its end holds for that log only', () => {
    const before = new Bench({ messagesMax: 9 });
    before.offer([2, 3, 4, 5, 6].map(at));
    for (const seq of [3, 4, 5, 6]) before.window.ack(seq, true);
    const { progress } = before.window;
    expect(progress.acksAboveWatermark).toEqual([[at(3).cursor, at(6).cursor]]);
    const after = new Bench({ messagesMax: 9, progress });
    const others = [5, 6, 7].map((seq) => makeMessage({ seq, epoch: 'other' }));
    expect(seqsOf(after.offer([at(2), at(3), at(4), ...others]))).toEqual([2, 5, 6, 7]);
    for (const seq of [2, 5, 6, 7]) after.window.ack(seq, true);
    expect(after.window.isEmpty).toBe(true);
  });

  it('goes back for what is to come again only', () => {
    const bench = new Bench({ messagesMax: 1_000 });
    const all = Array.from({ length: 1_000 }, (_, index) => at(index + 2));
    bench.offer(all);
    for (const { seq } of all) if (seq !== 5 && seq !== 500) bench.window.ack(seq, true);
    bench.rewind();
    expect(bench.position.seq).toBe(4);
    expect(seqsOf(bench.offer([at(5)]))).toEqual([5]);
    expect(bench.position.seq).toBe(499);
    expect(seqsOf(bench.offer([at(500)]))).toEqual([500]);
    expect(bench.position.seq).toBe(1_001);
  });

  it('a restored window smaller than what was acknowledged ahead still resumes', () => {
    const before = new Bench({ messagesMax: 10 });
    before.offer([at(2), at(3), at(4), at(5)]);
    for (const seq of [3, 4, 5]) before.window.ack(seq, true);
    const after = new Bench({ messagesMax: 2, progress: before.window.progress });
    expect(seqsOf(after.offer([at(2), at(3), at(4), at(5)]))).toEqual([2]);
  });

  it('another message at a place that was acknowledged is wanted', () => {
    const before = new Bench({ messagesMax: 10 });
    before.offer([at(2), at(3)]);
    before.window.ack(3, true);
    const after = new Bench({ messagesMax: 10, progress: before.window.progress });
    const other = makeMessage({ seq: 3, tag: 'ffffffffffffffff' });
    expect(seqsOf(after.offer([at(2), other]))).toEqual([2, 3]);
    after.window.ack(2, true);
    expect(after.window.ackedThrough.seq).toBe(2);
  });

  it('in another log, nothing of the one before holds', () => {
    const before = new Bench({ messagesMax: 10 });
    before.offer([at(2), at(3), at(4)]);
    before.window.ack(4, true);
    const after = new Bench({ messagesMax: 10, progress: before.window.progress });
    after.window.startAt(start, true);
    expect(after.window.isEmpty).toBe(true);
    expect(after.window.isWanted(at(4))).toBe(true);
  });

  it('release brings back that message alone, marked, and again as often as asked', () => {
    const bench = new Bench({ messagesMax: 10 });
    const all = [2, 3, 4, 5].map(at);
    bench.offer(all);
    expect(bench.window.redeliveredThroughSeq).toBe(0);
    for (let round = 0; round < 3; round += 1) {
      bench.release(3);
      expect(seqsOf(bench.offer(all))).toEqual([3]);
      expect(bench.window.redeliveredThroughSeq).toBe(3);
    }
    bench.release(99);
    expect(bench.offer(all)).toEqual([]);
    bench.window.ack(2, true);
    expect(bench.window.ackedThrough.seq).toBe(2);
  });

  it('a cumulative ack takes what was delivered before, not what came again after it', () => {
    const bench = new Bench({ messagesMax: 10 });
    const all = [2, 3, 4].map(at);
    bench.offer(all);
    bench.release(3);
    bench.offer(all);
    bench.window.ack(4, false);
    expect(bench.window.ackedThrough.seq).toBe(2);
    bench.window.ack(3, false);
    expect(bench.window.ackedThrough.seq).toBe(4);
  });

  it('what was to come again and is gone holds nothing up', () => {
    const bench = new Bench({ messagesMax: 10 });
    bench.offer([2, 3, 4].map(at));
    bench.window.ack(4, true);
    bench.rewind();
    expect(seqsOf(bench.offer([3, 4, 5].map(at)))).toEqual([3, 5]);
    bench.window.ack(3, true);
    expect(bench.window.ackedThrough.seq).toBe(4);
  });

  it('begins its unacknowledged part where the subscription stood, not where it was last acknowledged', () => {
    const bench = new Bench({ messagesMax: 10 });
    bench.position = at(50).position;
    bench.window.pass(bench.position);
    bench.offer([at(51)]);
    expect(bench.window.progress.cursor).toBe(at(50).cursor);
  });

  it('a window of 65,535 is acknowledged in the time of one pass over it', () => {
    const count = 65_535;
    const all = Array.from({ length: count }, (_, index) => at(index + 2));
    const orders: ((window: Window) => void)[] = [
      (window) => all.forEach(({ seq }) => window.ack(seq, true)),
      (window) => all.forEach(({ seq }) => window.ack(seq, false)),
      (window) => all.toReversed().forEach(({ seq }) => window.ack(seq, true)),
      (window) => window.ack(count + 1, false),
    ];
    for (const ackAll of orders) {
      const bench = new Bench({ messagesMax: count });
      bench.window.add(all, start);
      bench.window.pass(all.at(-1)!.position);
      expect(bench.window.room).toBe(0);
      ackAll(bench.window);
      expect(bench.window.isEmpty).toBe(true);
      expect(bench.window.room).toBe(count);
    }
  });
});

type Step =
  | { readonly kind: 'offer'; readonly count: number }
  | { readonly kind: 'ack'; readonly pick: number; readonly only: boolean }
  | { readonly kind: 'release'; readonly pick: number }
  | { readonly kind: 'rewind' }
  | { readonly kind: 'expire'; readonly pick: number }
  | { readonly kind: 'restore'; readonly isStale: boolean; readonly messagesMax: number }
  | { readonly kind: 'save' };

const pick = fc.nat({ max: 1_000 });
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('offer' as const), count: fc.nat({ max: 8 }) }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('ack' as const), pick, only: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), pick }) },
    fc.record({ kind: fc.constant('rewind' as const) }),
    fc.record({ kind: fc.constant('expire' as const), pick }),
    fc.record({ kind: fc.constant('save' as const) }),
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('restore' as const),
        isStale: fc.boolean(),
        messagesMax: fc.integer({ min: 1, max: 9 }),
      }),
    },
  ),
  { maxLength: 80 },
);

/** Says what a window must do by looking at everything there ever was, each time. */
class NaiveWindow {
  readonly log = Array.from({ length: 30 }, (_, index) => at(index + 2));
  readonly acked = new Set<number>();
  readonly gone = new Set<number>();
  readonly everDelivered = new Set<number>();
  /** In the order of delivery. */
  out: number[] = [];

  get kept(): readonly Message[] {
    return this.log.filter(({ seq }) => !this.gone.has(seq));
  }

  deliver(seqs: readonly number[]): void {
    for (const seq of seqs) {
      this.everDelivered.add(seq);
      this.out.push(seq);
    }
  }

  ack(seq: number, only: boolean): void {
    const known = this.out.indexOf(seq);
    const taken = only ? [seq] : this.out.slice(0, known + 1);
    for (const one of taken) this.acked.add(one);
    this.out = this.out.filter((one) => !taken.includes(one));
  }

  /** What may not be passed: neither acknowledged nor gone. */
  get oldestOpen(): number {
    return this.kept.find(({ seq }) => !this.acked.has(seq))?.seq ?? Number.POSITIVE_INFINITY;
  }
}

describe('window beside a naive one', () => {
  it('delivers what is not acknowledged, marks what came before, and passes nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), steps, (messagesMax, given) => {
        const model = new NaiveWindow();
        let messagesMaxNow = messagesMax;
        let bench = new Bench({ messagesMax });
        let saved = bench.window.progress;
        let ackedWhenSaved: readonly number[] = [];
        const save = () => {
          saved = bench.window.isEmpty
            ? {
                ...bench.window.progress,
                cursor: model.log.find(({ seq }) => seq === bench.position.seq)?.cursor ?? saved.cursor,
              }
            : bench.window.progress;
          ackedWhenSaved = [...model.acked];
        };
        for (const step of given) {
          switch (step.kind) {
            case 'offer': {
              const room = bench.window.room;
              const next = model.kept.filter(({ seq }) => seq > bench.position.seq).slice(0, step.count);
              const expected = next
                .filter(({ seq }) => !model.acked.has(seq) && !model.out.includes(seq))
                .slice(0, Math.max(0, room));
              const delivered = bench.offer(next);
              expect(seqsOf(delivered)).toEqual(seqsOf(expected));
              for (const { seq } of delivered) {
                expect(seq <= bench.window.redeliveredThroughSeq, `mark of ${seq}`).toBe(
                  model.everDelivered.has(seq),
                );
              }
              model.deliver(seqsOf(delivered));
              break;
            }
            case 'ack': {
              const seq = model.out[step.pick % Math.max(1, model.out.length)];
              if (seq === undefined) break;
              model.ack(seq, step.only);
              bench.window.ack(seq, step.only);
              break;
            }
            case 'release': {
              const seq = model.out[step.pick % Math.max(1, model.out.length)];
              if (seq === undefined) break;
              model.out = model.out.filter((one) => one !== seq);
              bench.release(seq);
              break;
            }
            case 'rewind':
              model.out = [];
              bench.rewind();
              break;
            case 'expire':
              model.gone.add((step.pick % 30) + 2);
              break;
            case 'save':
              save();
              break;
            case 'restore': {
              if (!step.isStale) save();
              // What was done since a stale save is not known: everything delivered may come again, marked.
              model.acked.clear();
              for (const seq of ackedWhenSaved) model.acked.add(seq);
              model.out = [];
              messagesMaxNow = step.messagesMax;
              const deliveredWatermark = Math.max(saved.deliveredWatermark, ...model.everDelivered);
              const from = model.log.find(({ cursor }) => cursor === saved.cursor)?.position ?? start;
              bench = new Bench(
                { messagesMax: step.messagesMax, progress: { ...saved, deliveredWatermark } },
                from,
              );
              bench.window.startAt(from, false);
              break;
            }
          }
          expect(bench.window.ackedThrough.seq).toBeLessThan(model.oldestOpen);
          expect(bench.window.room).toBe(messagesMaxNow - model.out.length);
        }
        // A reader that acknowledges everything reaches the end, with every message acknowledged that still exists.
        for (let round = 0; round < 100; round += 1) {
          const delivered = seqsOf(bench.offer(model.kept));
          model.deliver(delivered);
          for (const seq of [...model.out]) {
            model.ack(seq, true);
            bench.window.ack(seq, true);
          }
        }
        expect(model.oldestOpen).toBe(Number.POSITIVE_INFINITY);
        expect(bench.window.isEmpty).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });
});
