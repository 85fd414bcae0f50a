import { formatCursor, parseCursor, type Start, type From } from '@everywire/protocol';
import { openAccess } from '../../packages/server/src/core/sessions/access.ts';
import { createHub } from '../../packages/server/src/core/hub.ts';
import { defaultLimits, type AllLimits } from '../../packages/server/src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../packages/server/src/core/log/namespaces.ts';
import type { Feed, Store } from '../../packages/server/src/core/seams/store.ts';
import type { Log } from '../../packages/server/src/core/seams/log.ts';
import { createMemoryStore } from '../../packages/server/src/stores/memory/store.ts';
import { HistoryChecker } from '../faults/checker/checker.ts';
import type { Violation } from '../faults/checker/history.ts';
import { Chance } from './chance.ts';
import { delegate } from './delegate.ts';
import { HostileStore, type Hostility } from './hostile-store.ts';
import { Peer } from './peer.ts';
import { Publisher } from './publisher.ts';
import { Reader } from './reader.ts';
import { SharedLog } from './shared-log.ts';
import { VirtualTime } from './virtual-time.ts';
import type { Node, World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
  /** Only for controls: puts one fault into what a node's hub gets as its store. */
  readonly sabotage?: ((store: Store) => Store) | undefined;
  /** Only for controls: makes every run one of this kind. */
  readonly isShared?: boolean | undefined;
}

export interface Outcome {
  readonly violations: readonly Violation[];
  readonly problems: readonly string[];
  readonly deliveries: number;
  readonly accepted: number;
}

const channels = ['a', 'a/b', 'a/c', 'b/x/y', 'quiet', 'mortal/1', 'mortal/2'];
const mortalChannels = ['mortal/1', 'mortal/2'];
const filters = [...channels, 'a/*', 'a/**', '**', '**', '*/*', 'mortal/*', 'b/**', 'never'];
const peersMax = 6;
const readersMax = 12;
/** How long the run continues after the faults stopped. */
const calmMs = 8_000;
const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Runs the real core under a seed and has it judged. */
export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const simulation = new Simulation(options);
  await simulation.run(options.steps);
  return simulation.outcome();
}

class Simulation {
  readonly #chance: Chance;
  readonly #time: VirtualTime;
  readonly #checker = new HistoryChecker();
  readonly #world: World;
  readonly #publisher: Publisher;
  #peers: Peer[] = [];
  #readers: Reader[] = [];
  #names = 0;

  constructor({ seed, sabotage = (store) => store, isShared }: SimulationOptions) {
    const chance = (this.#chance = new Chance(seed));
    const time = (this.#time = new VirtualTime(chance));
    const limits = drawLimits(chance);
    const seqsRememberedMax = chance.happens(0.2) ? 80 : 1_000_000;
    const memory = createMemoryStore({ clock: time, random: chance, limits, seqsRememberedMax });
    const log = new SharedLog(memory, this.#checker, () => time.nowNs);
    const namespaces = createNamespaces(
      [{ filter: 'quiet', retention: { countMax: 3 } }],
      {
        ...defaultRules,
        retention: {
          countMax: chance.pick([5, 30, 1_000]),
          ageMsMax: chance.pick([2_000, 10 * 86_400_000]),
          bytesMax: chance.pick([2_000, 1_000_000]),
        },
      },
      limits,
    );
    const nodesCount = (isShared ?? chance.happens(0.75)) ? chance.between(1, 3) : 0;
    const fronts = Array.from(
      { length: nodesCount },
      () => new HostileStore(log, time, chance, drawHostility(chance)),
    );
    const stores: readonly (HostileStore | undefined)[] = fronts.length === 0 ? [undefined] : fronts;
    const nodes = stores.map((front): Node => {
      const store = sabotage(front ?? delegate(memory, { open: (feed: Feed) => log.open(feed) }));
      const hub = createHub({
        store,
        clock: time,
        random: chance,
        access: openAccess,
        namespaces,
        limits,
        log: silent,
      });
      return { hub, front };
    });
    this.#world = {
      chance,
      time,
      log,
      checker: this.#checker,
      nodes,
      channels,
      mortalChannels,
      filters,
      remembersAll: seqsRememberedMax > 1_000,
      problems: [],
      isCalm: false,
    };
    this.#publisher = new Publisher(this.#world);
  }

  async run(steps: number): Promise<void> {
    await this.#world.log.start();
    for (const { hub, front } of this.#world.nodes) {
      const started = hub.start();
      await this.#time.runUntil(this.#time.monotonicMs() + 300);
      await started;
      front?.turnHostile();
    }
    for (let step = 0; step < steps; step += 1) {
      this.#act();
      for (let events = this.#chance.below(4); events > 0; events -= 1) await this.#time.runNext();
      if (this.#chance.happens(0.6)) await this.#time.endTurn();
    }
    await this.#calmDown();
    await this.#world.log.readAll();
  }

  outcome(): Outcome {
    const { violations, deliveries, accepted } = this.#checker.verdict();
    return { violations, problems: this.#world.problems, deliveries, accepted };
  }

  #act(): void {
    const chance = this.#chance;
    const kind = chance.below(1_000);
    if (kind < 330) this.#publish('publish');
    else if (kind < 370) this.#publish('repeat');
    else if (kind < 375) this.#publish('clash');
    else if (kind < 420) this.#addReader();
    else if (kind < 600) this.#comeBack();
    else if (kind < 640) this.#readerAt((reader) => reader.reading?.cancel());
    else if (kind < 780) this.#readerAt((reader) => reader.reading?.ackSome());
    else if (kind < 800) this.#readerAt((reader) => reader.reading?.rewind());
    else if (kind < 860) this.#readerAt((reader) => reader.reading?.heartbeat());
    else if (kind < 885) this.#endPeer();
    else if (kind < 895) this.#drop();
    else if (kind < 905) this.#readerAt((reader) => reader.stop());
    else if (kind < 908) this.#time.stepWallClock(chance.between(-60_000, 60_000));
    else if (kind < 940) void this.#time.sleep(chance.below(300));
  }

  #publish(how: 'publish' | 'repeat' | 'clash'): void {
    const { session, name } = this.#peer();
    this.#publisher[how](session, name);
  }

  #peer(): Peer {
    if (this.#peers.length > 0 && !(this.#peers.length < peersMax && this.#chance.happens(0.1)))
      return this.#chance.pick(this.#peers);
    const peer = new Peer(this.#world, this.#chance.pick(this.#world.nodes), `peer ${(this.#names += 1)}`);
    this.#peers.push(peer);
    return peer;
  }

  #endPeer(): void {
    if (this.#peers.length === 0) return;
    const peer = this.#chance.pick(this.#peers);
    this.#peers = this.#peers.filter((other) => other !== peer);
    peer.end();
  }

  #readerAt(act: (reader: Reader) => void): void {
    if (this.#readers.length > 0) act(this.#chance.pick(this.#readers));
  }

  #addReader(): void {
    this.#readers = this.#readers.filter(({ hasStopped }) => !hasStopped);
    if (this.#readers.length >= readersMax) return;
    const chance = this.#chance;
    const name = `reader ${(this.#names += 1)}`;
    const several = chance.happens(0.25) ? this.#drawFilters() : undefined;
    const peer = this.#peer();
    const drawn = this.#drawFrom();
    // Several filters begin at one place.
    const from = several !== undefined && drawn.from === undefined ? this.#headOf(peer) : drawn.from;
    const isSeveral = several !== undefined && from !== undefined && 'after' in from;
    const readFilters = isSeveral ? several : [chance.pick(filters)];
    const { isForged } = drawn;
    const deafTo = chance.happens(0.05) ? { client: peer.name, fromNo: this.#publisher.count } : undefined;
    const reader = new Reader(this.#world, { name, filters: readFilters, from, isForged, deafTo });
    this.#readers.push(reader);
    reader.subscribe(peer);
  }

  #drawFilters(): readonly string[] {
    const chance = this.#chance;
    const count = chance.between(2, 5);
    return [
      ...new Set(Array.from({ length: count }, () => chance.pick(chance.happens(0.5) ? channels : filters))),
    ];
  }

  #headOf({ node }: Peer): From {
    return { after: formatCursor(node.hub.head) };
  }

  #drawFrom(): { readonly from: From | undefined; readonly isForged: boolean } {
    const chance = this.#chance;
    const { written } = this.#world.log;
    const kind = chance.below(10);
    const starts: readonly Start[] = [
      { kind: 'earliest' },
      { kind: 'latest' },
      { kind: 'last', count: chance.below(20) },
      { kind: 'time', timeMs: this.#time.nowMs() - chance.below(2_000) },
    ];
    if (kind < 5) return { from: { since: chance.pick(starts) }, isForged: false };
    if (kind < 6 || written.length === 0) return { from: undefined, isForged: false };
    const { message } = chance.pick(written);
    const position = parseCursor(message.cursor)!;
    if (kind < 9) return { from: { after: message.cursor }, isForged: false };
    const forged = chance.pick([
      { ...position, tag: chance.hex(8) },
      { ...position, epoch: 'forged' },
      { ...position, seq: position.seq + 100_000 },
    ]);
    return { from: { after: formatCursor(forged) }, isForged: true };
  }

  #comeBack(): void {
    const idle = this.#readers.filter(({ isIdle }) => isIdle);
    if (idle.length === 0) return;
    const reader = this.#chance.pick(idle);
    const peer = this.#peer();
    if (this.#chance.happens(0.3)) reader.poll(peer);
    else reader.subscribe(peer);
  }

  #drop(): void {
    this.#peer()
      .session.drop(this.#chance.pick(mortalChannels))
      .catch((cause: unknown) =>
        this.#world.problems.push(`a channel could not be deleted: ${String(cause)}`),
      );
  }

  /** The faults stop; every reader that left comes back, and every reader must reach the head. */
  async #calmDown(): Promise<void> {
    const world = this.#world;
    for (const { front } of world.nodes) front?.calmDown();
    world.isCalm = true;
    const untilMs = this.#time.monotonicMs() + calmMs;
    world.checker.record({ kind: 'calm', atNs: this.#time.nowNs });
    while (this.#time.monotonicMs() < untilMs) {
      for (const peer of this.#peers) peer.drain();
      for (const reader of this.#readers) {
        reader.reading?.ackAll();
        if (reader.isIdle) reader.subscribe(this.#peer());
      }
      await this.#time.runUntil(this.#time.monotonicMs() + 100);
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
  };
}

function drawHostility(chance: Chance): Hostility {
  return {
    readDelayMs: chance.pick([0, 5, 100]),
    appendDelayMs: chance.pick([0, 5, 100]),
    feedDelayMs: chance.pick([0, 5, 200]),
    deafMs: chance.pick([10, 500]),
    readFails: chance.pick([0, 0.02, 0.2]),
    appendFails: chance.pick([0, 0.05]),
    feedGoesDeaf: chance.pick([0, 0.02, 0.2]),
    falseAlarm: chance.pick([0, 0.02]),
  };
}
