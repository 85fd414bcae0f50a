import type { Store } from '../../../packages/server/src/core/seams/store.ts';
import { defaultLimits, type AllLimits } from '../../../packages/server/src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../packages/server/src/core/log/namespaces.ts';
import { createMemoryStore } from '../../../packages/server/src/stores/memory/store.ts';
import { HistoryChecker } from '../../faults/checker/checker.ts';
import { Chance } from '../chance.ts';
import { SharedLog } from '../shared-log.ts';
import { VirtualTime } from '../virtual-time.ts';
import { AckingReader } from './acking-reader.ts';
import { MortalServer } from './mortal-server.ts';
import { Party } from './party.ts';
import type { Setting } from './setting.ts';
import { Sharer, Sharing } from './sharing.ts';

export interface AcknowledgingOptions {
  readonly seed: number;
  readonly steps: number;
  /** Only for controls: puts one fault into what a hub gets as its store. */
  readonly sabotage?: ((store: Store) => Store) | undefined;
}

export interface AcknowledgingOutcome {
  readonly problems: readonly string[];
  readonly written: number;
  readonly kills: number;
}

const channels = ['a', 'a/b', 'a/c', 'b'];
const filters = ['a', 'a/*', 'a/**', '**', 'b'];
const partiesMax = 6;
const sharersMax = 5;
const calmMs = 6_000;

/** Runs readers that acknowledge, and groups of them, on servers that are killed, under a seed. */
export async function simulateAcknowledging(options: AcknowledgingOptions): Promise<AcknowledgingOutcome> {
  return new AcknowledgingSimulation(options).run(options.steps);
}

class AcknowledgingSimulation {
  readonly #setting: Setting;
  readonly #limits: AllLimits;
  readonly #sabotage: (store: Store) => Store;
  readonly #delayMs: number;
  readonly #failures: number;
  readonly #readers: readonly AckingReader[];
  readonly #sharings: readonly Sharing[];
  #server!: MortalServer;
  #parties: Party[] = [];
  #sharers: Sharer[] = [];
  #published = 0;

  constructor({ seed, sabotage = (store) => store }: AcknowledgingOptions) {
    const chance = new Chance(seed);
    const time = new VirtualTime(chance);
    this.#limits = drawLimits(chance);
    this.#sabotage = sabotage;
    this.#delayMs = chance.pick([0, 0, 20, 100]);
    this.#failures = chance.pick([0, 0, 0.03]);
    const memory = createMemoryStore({ clock: time, random: chance, limits: this.#limits });
    const log = new SharedLog(memory, new HistoryChecker(), () => time.nowNs);
    this.#setting = {
      chance,
      time,
      log,
      problems: [],
      killsMs: [],
      refusalsMs: [],
      openedAtSeq: 0,
      isCalm: false,
    };
    this.#readers = Array.from(
      { length: 4 },
      (_, at) =>
        new AckingReader(this.#setting, {
          name: `reader ${at + 1}`,
          filter: chance.pick(filters),
          isEager: chance.happens(0.5),
          usesQuota: chance.happens(0.5),
        }),
    );
    this.#sharings = Array.from(
      { length: 3 },
      (_, at) =>
        new Sharing(this.#setting, {
          name: `group${at + 1}`,
          filter: chance.pick(filters),
          isKept: at < 2,
        }),
    );
  }

  async run(steps: number): Promise<AcknowledgingOutcome> {
    const { chance, time, log, problems, killsMs } = this.#setting;
    await log.start();
    await this.#startServer();
    for (let step = 0; step < steps; step += 1) {
      await this.#act();
      for (let events = chance.below(4); events > 0; events -= 1) await time.runNext();
      if (chance.happens(0.6)) await time.endTurn();
    }
    await this.#calmDown();
    for (const one of [...this.#readers, ...this.#sharings]) one.judge();
    return { problems, written: log.written.length, kills: killsMs.length };
  }

  async #act(): Promise<void> {
    const { chance, time } = this.#setting;
    const kind = chance.below(1_000);
    if (kind < 250) this.#publish();
    else if (kind < 350) this.#resume();
    else if (kind < 430) this.#share();
    else if (kind < 600) chance.pick(this.#readers).act();
    else if (kind < 800) this.#sharerAt((sharer) => sharer.act());
    else if (kind < 830) this.#endParty();
    else if (kind < 840) await this.#kill();
    else if (kind < 845) await time.runUntil(time.monotonicMs() + chance.below(2_000));
  }

  #publish(): void {
    const { chance, problems } = this.#setting;
    const party = this.#party();
    this.#published += 1;
    const payload = Buffer.from(`message ${this.#published}`);
    const ttlMs = chance.happens(0.1) ? chance.between(1, 500) : undefined;
    party.session
      .publish(chance.pick(channels), { payload, type: 'text/plain', ttlMs })
      .catch((cause: unknown) => {
        if (!String(cause).includes('went away')) problems.push(`a publish failed: ${String(cause)}`);
      });
  }

  #resume(): void {
    const idle = this.#readers.filter(({ isIdle }) => isIdle);
    if (idle.length > 0) this.#setting.chance.pick(idle).subscribe(this.#party());
  }

  #share(): void {
    this.#sharers = this.#sharers.filter(({ hasLeft }) => !hasLeft);
    const sharing = this.#setting.chance.pick(this.#sharings);
    if (sharing.members.size >= sharersMax) return;
    this.#sharers.push(new Sharer(this.#setting, sharing, this.#party()));
  }

  #sharerAt(act: (sharer: Sharer) => void): void {
    if (this.#sharers.length > 0) act(this.#setting.chance.pick(this.#sharers));
  }

  #party(): Party {
    const { chance } = this.#setting;
    this.#parties = this.#parties.filter(({ hasEnded }) => !hasEnded);
    if (this.#parties.length === 0 || (this.#parties.length < partiesMax && chance.happens(0.2)))
      this.#parties.push(new Party(this.#setting, this.#server));
    return chance.pick(this.#parties);
  }

  #endParty(): void {
    if (this.#parties.length > 0) this.#setting.chance.pick(this.#parties).end();
  }

  async #kill(): Promise<void> {
    const { killsMs, time } = this.#setting;
    killsMs.push(time.monotonicMs());
    this.#server.kill();
    for (const party of this.#parties) party.end();
    await this.#startServer();
  }

  async #startServer(): Promise<void> {
    const { time, log, chance, refusalsMs } = this.#setting;
    const server = new MortalServer({
      log,
      time,
      chance,
      limits: this.#limits,
      namespaces: createNamespaces(
        [],
        {
          ...defaultRules,
          retention: { countMax: 1e6, ageMsMax: 1e12, bytesMax: 1e12 },
        },
        this.#limits,
      ),
      delayMs: this.#delayMs,
      failures: this.#failures,
      refused: () => refusalsMs.push(time.monotonicMs()),
      sabotage: this.#sabotage,
    });
    const started = server.hub.start();
    // By then, the appends that the killed server had started are written.
    await time.runUntil(time.monotonicMs() + 300);
    await started;
    this.#setting.openedAtSeq = server.hub.head.seq;
    server.isHostile = true;
    this.#server = server;
  }

  /** The faults stop; every reader and every group has a connected client that acknowledges. */
  async #calmDown(): Promise<void> {
    const { time } = this.#setting;
    this.#server.isHostile = false;
    this.#setting.isCalm = true;
    const untilMs = time.monotonicMs() + calmMs;
    while (time.monotonicMs() < untilMs) {
      for (const party of this.#parties) party.drain();
      for (const reader of this.#readers) {
        if (reader.isIdle) reader.subscribe(this.#party());
        reader.ackAll();
      }
      // What was asked for while the store still failed may be refused by now.
      for (const sharing of this.#sharings)
        if (!sharing.hasAckingMember) this.#sharers.push(new Sharer(this.#setting, sharing, this.#party()));
      for (const sharer of this.#sharers) sharer.ackAll();
      await time.runUntil(time.monotonicMs() + 100);
    }
  }
}

function drawLimits(chance: Chance): AllLimits {
  const pageMessagesMax = chance.pick([2, 7, 1_000]);
  return {
    ...defaultLimits,
    pageMessagesMax,
    pageMessagesDefault: pageMessagesMax,
    batchBytesMax: chance.pick([300, 2_000, defaultLimits.batchBytesMax]),
    pageCacheBytesMax: chance.pick([0, 4_000, defaultLimits.pageCacheBytesMax]),
    groupSpanMessagesMax: chance.pick([10, defaultLimits.groupSpanMessagesMax]),
  };
}
