import type { Clock, Random } from '../core/clock.ts';
import type { Limits } from '../core/limits.ts';
import type { Store } from '../core/seams/store.ts';
import type { Log } from '../core/seams/log.ts';

/** How durable an operator asks messages to be. */
export type Durability = 'fsync' | 'os' | 'memory';

export interface StoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly log: Log;
  /** The process must end: its native part of the store is damaged, and only a new process can be trusted. */
  readonly onFatal?: (error: unknown) => void;
}

interface Kind {
  /** The durabilities that the store offers. One that would change nothing is not offered. */
  readonly durabilities: readonly Durability[];
  make(place: string, options: StoreOptions): Promise<Store>;
}

/** Imported on demand, so that the memory store needs no native module. */
const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  [
    'memory',
    {
      durabilities: ['fsync', 'os', 'memory'],
      make: async (_place, options) => (await import('./memory/store.ts')).createMemoryStore(options),
    },
  ],
  [
    'lmdb',
    {
      // lmdb 3.5 answers only after its flush, in each of its modes.
      durabilities: ['fsync'],
      make: async (path, options) => (await import('./lmdb/store.ts')).createLmdbStore({ ...options, path }),
    },
  ],
]);

/** Why `durability` cannot be had from the store at `url`; `undefined` when it can. One sentence for an operator. */
export function findDurabilityProblem(url: string, durability: Durability): string | undefined {
  const name = url.slice(0, Math.max(0, url.indexOf(':')));
  const kind = kinds.get(name);
  if (kind === undefined || kind.durabilities.includes(durability)) return undefined;
  return (
    `The ${name} store does not offer "${durability}": it flushes before every answer. ` +
    `Use ${kind.durabilities.map((each) => `"${each}"`).join(' or ')}.`
  );
}

/** Why there is no store at `url`; `undefined` when there is one. One sentence for an operator. */
export function findStoreProblem(url: string): string | undefined {
  const colon = url.indexOf(':');
  if (colon >= 0 && kinds.has(url.slice(0, colon))) return undefined;
  const known = [...kinds.keys()].map((name) => `${name}:`).join(', ');
  // The rest of the URL may contain a password.
  const begin = colon < 0 ? url : url.slice(0, colon + 1);
  return `There is no store for "${begin}". A store URL begins with one of: ${known}`;
}

/**
 * Makes the store that `url` names: `memory:` or `lmdb:<folder>`. It still has to be opened.
 * @throws Error that tells an operator which URLs there are
 */
export async function createStore(url: string, options: StoreOptions): Promise<Store> {
  const problem = findStoreProblem(url);
  if (problem !== undefined) throw new Error(problem);
  const colon = url.indexOf(':');
  return kinds.get(url.slice(0, colon))!.make(url.slice(colon + 1), options);
}
