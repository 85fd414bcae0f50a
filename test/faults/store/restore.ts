import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Rounds } from '../../support/rounds.ts';
import type { Sighting, Violation } from '../checker/history.ts';
import { Positions } from '../checker/positions.ts';
import { Violations } from '../checker/violations.ts';
import type { Publish } from './calls.ts';
import { StoreProcess } from './store-process.ts';

export interface Restores {
  readonly violations: readonly Violation[];
  /** Cursors that were shown to a restored store: of places it lost, and of places it kept. */
  readonly stale: number;
  readonly valid: number;
}

const channels = ['a', 'b/c', 'b/d'];
/** Cursors of each kind that are tried after a restore. */
const triedMax = 25;

/**
 * Puts an older copy of the data folder back, again and again. Between the copy and its return messages are accepted
 * whose positions the copy does not know; afterwards others are accepted, fewer, as many, or more. A cursor of what was
 * lost must be answered with a gap, a cursor of what is still there exactly, and no position may come to name a second
 * message, in all lives of the log together.
 */
export async function restoreOlderCopies(rounds: Rounds, sabotage?: string): Promise<Restores> {
  const base = await mkdtemp(join(tmpdir(), 'everywire-restore-'));
  const folder = join(base, 'data');
  const found = new Violations();
  const positions = new Positions(found);
  let stale = 0;
  let valid = 0;
  try {
    const kept = [...(await live(folder, 'first', 30, positions, sabotage))];
    const lost: Sighting[] = [];
    for (let round = 0; rounds.begin(); round += 1) {
      const copy = join(base, 'copy');
      await cp(folder, copy, { recursive: true });
      lost.push(...(await live(folder, `lost${round}`, 20, positions, sabotage)));
      await rm(folder, { recursive: true });
      await rename(copy, folder);
      kept.push(...(await live(folder, `new${round}`, [5, 20, 40][round % 3]!, positions, sabotage)));

      const process = new StoreProcess({ sabotage });
      try {
        await process.call('open', { url: `lmdb:${folder}` });
        const { messages } = await process.call('read', { filter: '**' });
        for (const message of messages) positions.see(message, `the store after restore ${round}`);
        for (const place of sample(lost)) {
          stale += 1;
          for (const filter of ['**', place.channel]) {
            const { gaps } = await process.call('read', { filter, after: place });
            if (gaps.length === 0)
              found.add(
                'silent gap',
                `${filter}: a cursor of ${place.value}, which is lost, was told nothing`,
              );
          }
        }
        for (const place of sample(kept)) {
          valid += 1;
          const { gaps, messages: read } = await process.call('read', { filter: '**', after: place });
          const due = kept.filter(({ seq }) => seq > place.seq).map(({ value }) => value);
          if (gaps.length > 0)
            found.add('false gap', `a cursor of ${place.value}, which exists, got a gap notice`);
          if (read.map(({ value }) => value).join() !== due.join())
            found.add(
              'silent gap',
              `after ${place.value} came ${read.length} messages, and ${due.length} were due`,
            );
        }
        await process.close();
      } finally {
        await process.kill();
      }
    }
    return { violations: found.kept, stale, valid };
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}

/** One life of the log: opens it, publishes, closes it. Answers what was accepted, in order. */
async function live(
  folder: string,
  prefix: string,
  count: number,
  positions: Positions,
  sabotage: string | undefined,
): Promise<readonly Sighting[]> {
  const process = new StoreProcess({ sabotage });
  try {
    await process.call('open', { url: `lmdb:${folder}` });
    const publishes = Array.from({ length: count }, (_, no): Publish => {
      return { channel: channels[no % channels.length]!, value: `${prefix}.${no}.${20 + (no % 50)}` };
    });
    await process.call('publish', { client: prefix, publishes });
    const accepted = process.takeHistory().filter((event) => event.kind === 'accepted');
    for (const sighting of accepted) positions.see(sighting, prefix);
    await process.close();
    return accepted;
  } finally {
    await process.kill();
  }
}

/** The newest and some others. */
function sample(places: readonly Sighting[]): readonly Sighting[] {
  const others = Array.from(
    { length: triedMax - 1 },
    () => places[Math.floor(Math.random() * places.length)]!,
  );
  return [places.at(-1)!, ...others];
}
