import { describe, expect, it } from 'vitest';
import { HistoryChecker } from './checker/checker.ts';
import { matchesFilter } from './checker/filters.ts';
import type { Rule } from './checker/history.ts';
import { forgedHistories } from './forged-histories.ts';

const rules: readonly Rule[] = [
  'lost',
  'duplicate',
  'divergence',
  'aborted read',
  'order',
  'hole',
  'subscriber',
  'dirty delivery',
  'silent gap',
  'false gap',
  'unread',
  'liveness',
];

describe('the history checker', () => {
  it.each(forgedHistories)('$name → $breaks', ({ breaks, events, finalReads, finalReadOfAll }) => {
    const checker = new HistoryChecker();
    for (const event of events) checker.record(event);
    for (const read of finalReads) checker.finalRead(read);
    if (finalReadOfAll !== undefined) checker.finalReadOfAll(finalReadOfAll);
    const broken = new Set(checker.verdict().violations.map(({ rule }) => rule));
    expect([...broken]).toEqual(breaks === undefined ? [] : [breaks]);
  });

  it('is tried on each rule, and on thirty histories or more', () => {
    expect(forgedHistories.length).toBeGreaterThanOrEqual(30);
    expect(new Set(forgedHistories.map(({ breaks }) => breaks))).toEqual(new Set([undefined, ...rules]));
  });

  it('judges a million deliveries', () => {
    const messagesCount = 50_000;
    const subscribersCount = 20;
    const checker = new HistoryChecker();
    const sightings = Array.from({ length: messagesCount }, (_, at) => ({
      channel: `c/${at % 10}`,
      offset: Math.floor(at / 10) + 1,
      epoch: 'e',
      seq: at + 1,
      tag: `t${at}`,
      value: `v${at}`,
    }));
    for (let reader = 0; reader < subscribersCount; reader += 1) {
      const subscriber = `s${reader}`;
      checker.record({ kind: 'start', atNs: 0, subscriber, filters: ['c/*'], afterSeq: 0 });
      for (const [at, seen] of sightings.entries()) {
        // The thirteenth reader misses one message: one violation must be found among all that is right.
        if (reader === 13 && at === 33_333) continue;
        checker.record({ kind: 'delivered', atNs: at, subscriber, ...seen });
      }
    }
    for (let channel = 0; channel < 10; channel += 1) {
      const messages = sightings.filter((seen) => seen.channel === `c/${channel}`);
      checker.finalRead({ channel: `c/${channel}`, trimmedThrough: 0, messages });
    }
    checker.finalReadOfAll(sightings);
    const verdict = checker.verdict();
    expect(verdict.deliveries).toBe(messagesCount * subscribersCount - 1);
    expect(verdict.violations).toHaveLength(1);
    expect(verdict.violations[0]).toMatchObject({ rule: 'silent gap' });
    expect(verdict.violations[0]?.detail).toContain('s13 jumped over c/3#3334');
  });
});

describe("the checker's own filters", () => {
  it.each([
    ['a', 'a', true],
    ['a', 'a/b', false],
    ['a/*', 'a/b', true],
    ['a/*', 'a', false],
    ['a/*', 'a/', true],
    ['a/*', 'a/b/c', false],
    ['a/**', 'a', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'ab', false],
    ['**', 'x/y', true],
    ['**', '$x/y', false],
    ['*/b', 'a/b', true],
    ['a.c/*', 'abc/x', false],
  ])('%s on %s: %s', (filter, channel, expected) => {
    expect(matchesFilter(filter, channel)).toBe(expected);
  });
});
