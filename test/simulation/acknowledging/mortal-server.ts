import { EverywireError } from '../../../packages/protocol/src/index.ts';
import { openAccess } from '../../../packages/server/src/core/sessions/access.ts';
import type { Clock } from '../../../packages/server/src/core/clock.ts';
import { createHub, type Hub } from '../../../packages/server/src/core/hub.ts';
import type { AllLimits } from '../../../packages/server/src/config/limits.ts';
import type { Namespaces } from '../../../packages/server/src/core/log/namespaces.ts';
import type { Feed, RecordStore, Store } from '../../../packages/server/src/core/seams/store.ts';
import type { Log } from '../../../packages/server/src/core/seams/log.ts';
import type { Chance } from '../chance.ts';
import { delegate } from '../delegate.ts';
import type { SharedLog } from '../shared-log.ts';
import type { VirtualTime } from '../virtual-time.ts';

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export interface MortalOptions {
  readonly log: SharedLog;
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly limits: AllLimits;
  readonly namespaces: Namespaces;
  readonly delayMs: number;
  readonly failures: number;
  /** A write of rows was refused. */
  readonly refused: () => void;
  readonly sabotage: (store: Store) => Store;
}

/** A hub on a log that outlives it. When it is killed, nothing of it runs any more: no timer, no answer, no write. */
export class MortalServer {
  readonly hub: Hub;
  isHostile = false;
  readonly #options: MortalOptions;
  #isAlive = true;
  #feed: Feed | undefined;

  constructor(options: MortalOptions) {
    this.#options = options;
    const { time, chance, limits, namespaces, log } = options;
    const store = delegate(log.store, {
      open: async (feed) => {
        this.#feed = feed;
        log.addFeed(feed);
      },
      append: (...args) => this.#slowly(() => log.store.append(...args)),
      read: (...args) => this.#slowly(() => log.store.read(...args)),
      locate: (...args) => this.#slowly(() => log.store.locate(...args)),
      follow: (...args) => this.#slowly(() => log.store.follow(...args)),
      unfollow: (...args) => this.#slowly(() => log.store.unfollow(...args)),
      records: this.#records(log.store.records),
    });
    this.hub = createHub({
      store: options.sabotage(store),
      clock: this.#clock(time),
      random: chance,
      access: openAccess,
      namespaces,
      limits,
      log: silent,
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  kill(): void {
    this.#isAlive = false;
    if (this.#feed !== undefined) this.#options.log.removeFeed(this.#feed);
  }

  /** Does the writes one after the other; a kill drops those that have not started. */
  #records(records: RecordStore): RecordStore {
    let last: Promise<unknown> = Promise.resolve();
    return {
      get: (table, key) => this.#slowly(() => records.get(table, key)),
      list: (...args) => records.list(...args),
      write: (...args) => {
        const written = last.then(() => this.#slowly(() => records.write(...args)));
        last = written.catch(() => this.#options.refused());
        return written;
      },
    };
  }

  async #slowly<T>(call: () => Promise<T>): Promise<T> {
    const { time, chance, delayMs, failures } = this.#options;
    const wait = async (): Promise<void> => {
      if (this.isHostile && delayMs > 0) await time.sleep(chance.below(delayMs));
      if (!this.#isAlive) await never();
    };
    await wait();
    if (this.isHostile && chance.happens(failures)) throw unavailable();
    const result = await call();
    await wait();
    return result;
  }

  #clock(time: VirtualTime): Clock {
    const whileAlive = (run: () => void) => () => {
      if (this.#isAlive) run();
    };
    return {
      nowMs: () => time.nowMs(),
      monotonicMs: () => time.monotonicMs(),
      after: (delayMs, run) => time.after(delayMs, whileAlive(run)),
      turn: (run) => time.turn(whileAlive(run)),
    };
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

function unavailable(): EverywireError {
  return new EverywireError('store_unavailable', 'The store went away.');
}
