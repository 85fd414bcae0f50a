import type { Clock, Random } from '../core/clock.ts';
import type { Limits } from '../core/limits.ts';
import type { Durability, Store } from '../core/seams/store.ts';
import type { Log } from '../core/transport.ts';

export interface StoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly log: Log;
  readonly durability: Durability;
  /** The process must end: the store's native part is no longer to be trusted, and only a new process is. */
  readonly onFatal?: (error: unknown) => void;
}

type Factory = (place: string, options: StoreOptions) => Promise<Store>;

/** Imported when asked for, so that the memory store needs no native module. */
const factories: ReadonlyMap<string, Factory> = new Map<string, Factory>([
  ['memory', async (_place, options) => (await import('./memory/store.ts')).createMemoryStore(options)],
  ['lmdb', async (path, options) => (await import('./lmdb/store.ts')).createLmdbStore({ ...options, path })],
]);

/**
 * Makes the store that `url` names: `memory:` or `lmdb:<folder>`. It still has to be opened.
 * @throws Error that tells an operator which URLs there are
 */
export async function createStore(url: string, options: StoreOptions): Promise<Store> {
  const colon = url.indexOf(':');
  const factory = colon < 0 ? undefined : factories.get(url.slice(0, colon));
  if (factory === undefined) {
    const known = [...factories.keys()].map((name) => `${name}:`).join(', ');
    // The rest of it may have a password.
    const begin = colon < 0 ? url : url.slice(0, colon + 1);
    throw new Error(`There is no store for "${begin}". A store URL begins with one of: ${known}`);
  }
  return factory(url.slice(colon + 1), options);
}
