import fc from 'fast-check';
import { expect } from 'vitest';
import { matches } from '@everywire/protocol';
import type { Position } from '../../packages/protocol/src/index.ts';
import { filterOf, positionOf, type StoreBench } from './store-bench.ts';

interface ModelMessage {
  readonly channel: string;
  readonly life: number;
  readonly offset: number;
  readonly seq: number;
  isKept: boolean;
}

/** The whole log. The model deletes nothing: it only marks lost messages. */
class Model {
  readonly messages: ModelMessage[] = [];
  readonly #lives = new Map<string, number>();

  appended(channel: string, offset: number, seq: number, countMax: number): void {
    const life = this.#lives.get(channel) ?? 0;
    this.messages.push({ channel, life, offset, seq, isKept: true });
    const kept = this.messages.filter((message) => message.channel === channel && message.isKept);
    for (const message of kept.slice(0, Math.max(0, kept.length - countMax))) message.isKept = false;
  }

  dropped(channel: string): void {
    this.#lives.set(channel, (this.#lives.get(channel) ?? 0) + 1);
    for (const message of this.messages) if (message.channel === channel) message.isKept = false;
  }

  between(filter: string, afterSeq: number, throughSeq: number): readonly ModelMessage[] {
    const parsed = filterOf(filter);
    return this.messages.filter(
      ({ channel, seq }) => seq > afterSeq && seq <= throughSeq && matches(parsed, channel),
    );
  }
}

const channel = fc.constantFrom('a', 'a/b', 'a/c', 'd');
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      channels: fc.array(channel, { minLength: 1, maxLength: 8 }),
      countMax: fc.integer({ min: 0, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), channel }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      filter: fc.constantFrom('a', 'a/b', 'd', 'a/*', 'a/**', '**'),
      from: fc.nat(),
      messagesMax: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

export interface Trial {
  readonly bench: StoreBench;
  /** Closes and opens again; absent where nothing would be left. */
  readonly reopen?: () => Promise<StoreBench>;
}

/** Runs random steps on a store and on the model, and compares every read, from every place that was ever given out. */
export async function checkAgainstModel(begin: () => Promise<Trial>, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const { bench: first, reopen } = await begin();
      let bench = first;
      const model = new Model();
      const positions: Position[] = [await bench.head()];
      for (const each of steps) {
        if (each.kind === 'append') {
          const places = await Promise.all(
            each.channels.map((name) => bench.append(name, name, {}, { countMax: each.countMax })),
          );
          for (const place of places) {
            model.appended(place.channel, place.offset, place.seq, each.countMax);
            positions.push(positionOf(place));
          }
        } else if (each.kind === 'drop') {
          const hadOne = await bench.store.drop(each.channel);
          if (hadOne) model.dropped(each.channel);
        } else if (each.kind === 'reopen') {
          if (reopen !== undefined) bench = await reopen();
        } else {
          await compare(
            bench,
            model,
            each.filter,
            positions[each.from % positions.length]!,
            each.messagesMax,
          );
        }
      }
      for (const filter of ['a', '**']) await compare(bench, model, filter, positions[0]!, 1_000);
    }),
    { numRuns },
  );
}

async function compare(
  bench: StoreBench,
  model: Model,
  filter: string,
  after: Position,
  messagesMax: number,
): Promise<void> {
  let position = after;
  for (;;) {
    const page = await bench.read(filter, position, messagesMax);
    const expected = model.between(filter, position.seq, page.through.seq);
    expect(page.messages.map(({ seq, offset }) => [seq, offset])).toEqual(
      expected.filter(({ isKept }) => isKept).map(({ seq, offset }) => [seq, offset]),
    );
    const lost = expected.filter(({ isKept }) => !isKept);
    // One range of offsets cannot describe two lives of a channel.
    const vague = new Set(page.gaps.flatMap(({ channel: name, from }) => (from === undefined ? [name] : [])));
    const told = page.gaps.flatMap(({ channel: name, from, to }) =>
      vague.has(name)
        ? []
        : Array.from({ length: to! - from! + 1 }, (_, index) => `${name} ${from! + index}`),
    );
    const due = lost.flatMap(({ channel: name, offset }) => (vague.has(name) ? [] : [`${name} ${offset}`]));
    expect([...new Set(told)].sort()).toEqual([...new Set(due)].sort());
    for (const name of vague) expect(livesLost(model, filter, name, position.seq)).toBeGreaterThan(1);
    if (page.atHead) {
      expect(page.through).toEqual(await bench.head());
      return;
    }
    position = page.through;
  }
}

/** How many lives of a channel lost something after `afterSeq`. */
function livesLost(model: Model, filter: string, name: string, afterSeq: number): number {
  const lost = model
    .between(filter, afterSeq, Infinity)
    .filter((each) => each.channel === name && !each.isKept);
  return new Set(lost.map(({ life }) => life)).size;
}
