import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DurableSessions } from '../../../src/core/durable/durable-sessions.ts';
import {
  makeKind,
  anonymous,
  placeOf,
  settle,
  table,
  TestClock,
  TestHolder,
  TestNode,
  TestStore,
  type TestState,
} from './rig.ts';

type Step =
  | {
      readonly do: 'open' | 'leave' | 'save' | 'remove' | 'ack' | 'deliver' | 'deliver and ack';
      readonly owner: 0 | 1;
      readonly key: string;
    }
  | { readonly do: 'crash'; readonly owner: 0 | 1 }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'fail' | 'hold' | 'release' };

const keys = ['a', 'b'];
const owners = ['n1', 'n2'];

/** The known state of one session, under any owner. */
interface Known {
  /** The highest place that an owner knows to be durable. */
  durableSeq: number;
  /** Rows are there for sure, are gone for sure, or it is not known. */
  there: 'yes' | 'no' | 'maybe';
  /** The highest seq that was delivered to anybody before the session was opened last. */
  deliveredSeq: number;
}

interface Owner {
  node: TestNode;
  sessions: DurableSessions<TestState, number>;
  readonly held: Map<string, TestHolder>;
  readonly started: Set<TestHolder>;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom('open', 'leave', 'save', 'remove', 'ack', 'deliver', 'deliver and ack', 'open'),
      owner: fc.constantFrom<0 | 1>(0, 1),
      key: fc.constantFrom(...keys),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash'), owner: fc.constantFrom<0 | 1>(0, 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(1, 49, 60, 1_100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fail', 'hold', 'release') }) },
);

/** Two nodes on one store open, take from each other, crash and write, while the store fails and is slow. */
class World {
  readonly store = new TestStore();
  readonly clock = new TestClock();
  readonly owners: Owner[] = [];
  readonly known = new Map<string, Known>(
    keys.map((key) => [key, { durableSeq: 0, there: 'no', deliveredSeq: 0 }]),
  );
  readonly #tokens = new Map<string, number>();
  #pending: Promise<unknown>[] = [];
  #release = (): void => undefined;
  #head = 0;

  async start(): Promise<void> {
    const write = this.store.write.bind(this.store);
    this.store.write = async (writes, conditions) => {
      await write(writes, conditions);
      for (const { key, value } of writes) {
        const token =
          value === undefined ? 0 : Number((JSON.parse(value.toString()) as { token: string }).token);
        if (token === 0) continue;
        // One writer at a time, for ever: rows of an older lease never come behind those of a newer one.
        expect(token).toBeGreaterThanOrEqual(this.#tokens.get(key) ?? 0);
        this.#tokens.set(key, token);
      }
    };
    for (const name of owners) this.owners.push(await this.#boot(name));
  }

  async run(one: Step): Promise<void> {
    switch (one.do) {
      case 'pass':
        await this.clock.pass(one.ms);
        return;
      case 'fail':
        this.store.failures = 1;
        return;
      case 'hold':
        this.#release();
        this.#release = this.store.hold();
        return;
      case 'release':
        this.#release();
        return;
      case 'crash':
        await this.#crash(one.owner);
        return;
      case 'open':
      case 'leave':
      case 'save':
      case 'remove':
      case 'ack':
      case 'deliver':
      case 'deliver and ack':
        this.#pending.push(this.#act(one.do, this.owners[one.owner]!, one.key));
        await settle();
    }
  }

  /** The faults are over: started work ends, and nothing is left in memory of clients that have gone. */
  async end(): Promise<void> {
    this.#release();
    this.store.failures = 0;
    await this.clock.pass(20_000);
    await Promise.all(this.#pending);
    for (const owner of this.owners) {
      await Promise.all(
        [...owner.held.values()].map((holder) => holder.session.leave().catch(() => undefined)),
      );
      await owner.sessions.stop();
    }
    expect(this.store.tokens.size).toBe(0);
    // Each session is at the last place that its last owner saw.
    const last = await this.#boot('n3');
    for (const key of keys) this.#check(key, (await this.#opened(last, key, new TestHolder())).found);
  }

  async #act(what: string, owner: Owner, key: string): Promise<void> {
    const known = this.known.get(key)!;
    const holder = owner.held.get(key);
    if (what === 'open') {
      await this.#open(owner, key);
      return;
    }
    if (holder?.session.isOpen !== true) return;
    // No client is delivered anything whose session is not durable.
    if (what.startsWith('deliver') && !owner.started.has(holder)) return;
    // What an owner delivers that has not heard of its loss is marked only if the next one begins after it.
    if (this.store.tokens.get(`${table}/${key}`)?.node !== owner.node.name) return;
    switch (what) {
      case 'deliver':
      case 'deliver and ack':
        this.#head += 1;
        holder.deliveredSeq = this.#head;
        known.deliveredSeq = this.#head;
        if (what === 'deliver and ack') holder.seq = holder.deliveredSeq;
        holder.session.saveSoon();
        return;
      case 'ack':
        holder.seq = holder.deliveredSeq;
        holder.session.saveSoon();
        return;
      case 'save':
        await this.#durably(known, holder.seq, () => holder.session.save());
        return;
      case 'leave':
        owner.held.delete(key);
        // Of one that was not saved before nothing is there.
        if (owner.started.has(holder)) await this.#durably(known, holder.seq, () => holder.session.leave());
        else await this.#quietly(() => holder.session.leave());
        return;
      case 'remove':
        known.there = 'maybe';
        known.durableSeq = 0;
        // One that could not be removed is still its holder's.
        if (await this.#quietly(() => holder.session.remove())) owner.held.delete(key);
        return;
    }
  }

  async #open(owner: Owner, key: string): Promise<void> {
    const holder = new TestHolder();
    await this.#quietly(async () => {
      const { found } = await this.#opened(owner, key, holder);
      this.#check(key, found);
      const known = this.known.get(key)!;
      holder.seq = placeOf(found).seq;
      holder.deliveredSeq = placeOf(found).deliveredWatermark;
      owner.held.set(key, holder);
      const isDurable = await this.#durably(known, holder.seq, () => holder.session.save());
      if (isDurable) owner.started.add(holder);
    });
  }

  async #opened(owner: Owner, key: string, holder: TestHolder) {
    const opened = await owner.sessions.open(key, holder, { identity: anonymous, keepMs: undefined });
    holder.session = opened.session;
    return opened;
  }

  #check(key: string, found: Parameters<typeof placeOf>[0]): void {
    const { durableSeq, there, deliveredSeq } = this.known.get(key)!;
    if (there === 'yes') {
      const { seq, deliveredWatermark } = placeOf(found);
      expect(found).toBeDefined();
      // Nothing that was durable is lost, nothing that was delivered comes without its mark.
      expect(seq).toBeGreaterThanOrEqual(durableSeq);
      expect(deliveredWatermark).toBeGreaterThanOrEqual(deliveredSeq);
    }
    expect(placeOf(found).seq).toBeLessThanOrEqual(this.#head);
  }

  /** The place is durable if it was not refused, and the session was not removed meanwhile. */
  async #durably(known: Known, seq: number, save: () => Promise<void>): Promise<boolean> {
    return this.#quietly(async () => {
      await save();
      if (known.there === 'no') known.there = 'yes';
      if (known.there === 'yes') known.durableSeq = Math.max(known.durableSeq, seq);
    });
  }

  /** Refusals are part of the game, faults of an expectation are not. */
  async #quietly(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (cause) {
      if (!(cause instanceof Error) || !('code' in cause)) throw cause;
      return false;
    }
  }

  async #boot(name: string): Promise<Owner> {
    const node = new TestNode(this.store, this.clock, name, [...owners, name]);
    Object.defineProperty(node, 'headSeq', { get: () => this.#head });
    const sessions = new DurableSessions(makeKind(), node.services);
    await sessions.start();
    return { node, sessions, held: new Map(), started: new Set() };
  }

  async #crash(at: 0 | 1): Promise<void> {
    this.#release();
    const { node, held } = this.owners[at]!;
    node.kill();
    held.clear();
    this.store.failures = 0;
    this.store.endLeasesOf(node.name);
    // What it was doing never ends.
    this.#pending = [];
    this.owners[at] = await this.#boot(node.name);
  }
}

it('one session has one writer, and loses nothing, through all faults of two owners and their store', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.boolean(),
      async (steps, isSilent) => {
        const world = new World();
        world.store.isSilent = isSilent;
        await world.start();
        for (const one of steps) await world.run(one);
        await world.end();
      },
    ),
    { numRuns: 300 },
  );
});
