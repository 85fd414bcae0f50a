import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, it } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { createMemoryStore } from '../../../packages/server/src/stores/memory/store.ts';
import { HistoryChecker } from '../../faults/checker/checker.ts';
import { Chance } from '../../simulation/chance.ts';
import { HostileStore } from '../../simulation/hostile-store.ts';
import { SharedLog } from '../../simulation/shared-log.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';
import { secondOpenerContract } from '../store-second-opener.ts';
import { StoreBench } from '../store-bench.ts';

const calm = {
  readDelayMs: 2,
  appendDelayMs: 2,
  feedDelayMs: 2,
  deafMs: 0,
  readFails: 0,
  appendFails: 0,
  feedGoesDeaf: 0,
  falseAlarm: 0,
};

/**
 * The simulation's fronts of one log are the only store that several nodes open so far. They are late and their feed is
 * lossy, which most of the contract does not expect yet; the part for several nodes does.
 */
describe('store contract: shared log', () => {
  const chance = new Chance(1);
  const time = new VirtualTime(chance);
  let isOver = false;
  let log: SharedLog;
  let bench: StoreBench;
  const makeFront = () => new HostileStore(log, time, chance, calm);

  /** Virtual time advances by itself, as fast as it can. */
  const runTime = async (): Promise<void> => {
    while (!isOver) if (!(await time.runNext())) await turn();
  };
  void runTime();
  afterAll(() => (isOver = true));

  beforeEach(async () => {
    const memory = createMemoryStore({ clock: time, random: chance, limits: defaultLimits });
    log = new SharedLog(memory, new HistoryChecker(), () => time.nowNs);
    await log.start();
    bench = new StoreBench(makeFront());
    await bench.store.open(bench);
  });
  afterEach(() => bench.store.close());

  secondOpenerContract({ duty: (title, run) => it(title, run), bench: () => bench }, makeFront);
});
