import { describe, expect, it } from 'vitest';
import { LogSubscription } from '../../packages/server/src/core/fanout/subscription.ts';
import { sabotages } from './sabotage.ts';
import { simulate, type Outcome } from './simulation.ts';

/** A bug that needs more seeds than this to be found would pass through the seeds of one run. */
const seedsMax = 25;
const steps = 500;

/** The first outcome that is not clean. */
async function firstRed(run: (seed: number) => Promise<Outcome>): Promise<Outcome | undefined> {
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const outcome = await run(seed);
    if (outcome.violations.length > 0 || outcome.problems.length > 0) return outcome;
  }
  return undefined;
}

describe('the simulation goes red when', () => {
  it.each(sabotages)('$bug', async ({ commit, isShared, breaks }) => {
    const red = await firstRed((seed) => simulate({ seed, steps, sabotage: commit, isShared }));
    expect(red, 'nothing was found').toBeDefined();
    const rules = red?.violations.map(({ rule }) => rule) ?? [];
    expect(
      rules.some((rule) => breaks.includes(rule)),
      `found ${rules.join()}`,
    ).toBe(true);
  });

  it('a hand-over to a sink is made twice', async () => {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is given its `this` below
    const { offer } = LogSubscription.prototype;
    const twice: typeof offer = function (this: LogSubscription, batch, end) {
      const outcome = offer.call(this, batch, end);
      if (outcome === 'taken' && batch.firstSeq % 10 === 0) offer.call(this, batch, end);
      return outcome;
    };
    LogSubscription.prototype.offer = twice;
    try {
      expect(await firstRed((seed) => simulate({ seed, steps })), 'nothing was found').toBeDefined();
    } finally {
      LogSubscription.prototype.offer = offer;
    }
  });

  it('acks move the position of a window past unacknowledged messages', async () => {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is given its `this` below
    const { ack } = LogSubscription.prototype;
    LogSubscription.prototype.ack = function (this: LogSubscription, seq) {
      ack.call(this, seq + 1, false);
    };
    try {
      expect(await firstRed((seed) => simulate({ seed, steps })), 'nothing was found').toBeDefined();
    } finally {
      LogSubscription.prototype.ack = ack;
    }
  });
});

// A control must fail for its bug and not for the rig: without one, the same seeds are clean.
it('and stays green without', async () => {
  expect(await firstRed((seed) => simulate({ seed, steps, isShared: false }))).toBeUndefined();
});
