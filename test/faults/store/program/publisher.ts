import { setImmediate } from 'node:timers/promises';
import { EverywireError } from '@everywire/protocol';
import type { Entry, Health, Store } from '../../../../packages/server/src/core/seams/store.ts';
import type { Load, Publish, Refusal, Stopped } from '../calls.ts';
import { draftOf } from './drafts.ts';
import { nowNs, tell } from './output.ts';

const forEver = 365 * 86_400_000;

/** Sends publishes to a store and records the answer to each. */
export class Publisher {
  readonly #store: Store;
  readonly #makeId: () => string;

  constructor(store: Store, makeId: () => string) {
    this.#store = store;
    this.#makeId = makeId;
  }

  get health(): Health {
    return this.#store.health();
  }

  /** One append. Returns the first refusal, unless it was due. */
  async append(publishes: readonly Publish[], client: string, lane?: string): Promise<Refusal | undefined> {
    const entries = publishes.map((publish): Entry => {
      const { channel, value, countMax = Number.MAX_SAFE_INTEGER, forgedAs } = publish;
      tell({ kind: 'publish', atNs: nowNs(), client, channel, value: forgedAs ?? value, lane });
      return {
        channel,
        draft: { ...draftOf(forgedAs ?? value, this.#makeId()), key: value },
        retention: { countMax, ageMsMax: forEver, bytesMax: Number.MAX_SAFE_INTEGER },
      };
    });
    let refusal: Refusal | undefined;
    try {
      const results = await this.#store.append(entries);
      for (const [at, result] of results.entries()) {
        const { channel, value, forgedAs } = publishes[at]!;
        if (!(result instanceof EverywireError)) {
          const { epoch, seq, offset, tag } = result;
          const place = { channel, epoch, seq, offset, tag, value: forgedAs ?? value };
          tell({ kind: 'accepted', atNs: nowNs(), ...place });
        } else {
          tell({ kind: 'refused', atNs: nowNs(), value: forgedAs ?? value });
          if (forgedAs === undefined || result.code !== 'conflict') refusal ??= toRefusal(result);
        }
      }
    } catch (caught) {
      // A rejected append says nothing of what became of its entries.
      for (const { value, forgedAs } of publishes) {
        tell({ kind: 'unknown', atNs: nowNs(), value: forgedAs ?? value });
      }
      refusal = toRefusal(caught);
    }
    return refusal;
  }
}

export function toRefusal(caught: unknown): Refusal {
  if (caught instanceof EverywireError) return { code: caught.code, detail: caught.message };
  return {
    code: 'thrown',
    detail: caught instanceof Error ? (caught.stack ?? caught.message) : String(caught),
  };
}

/** Publishers that each wait for an answer before the next publish, until they are stopped or one is refused. */
export class Crowd {
  readonly #load: Load;
  readonly #publisher: Publisher;
  readonly #running: Promise<void>[];
  #isStopping = false;
  #accepted = 0;
  #refusal: Refusal | undefined;
  #health: Health | undefined;

  constructor(load: Load, publisher: Publisher) {
    this.#load = load;
    this.#publisher = publisher;
    this.#running = Array.from({ length: load.publishers }, (_, no) => this.#publish(no));
  }

  async stop(): Promise<Stopped> {
    this.#isStopping = true;
    return this.ended();
  }

  async ended(): Promise<Stopped> {
    await Promise.all(this.#running);
    return { accepted: this.#accepted, refusal: this.#refusal, health: this.#health };
  }

  async #publish(no: number): Promise<void> {
    const { prefix, channels, entriesMax, payloadBytesMax } = this.#load;
    const client = `${prefix}p${no}`;
    for (let count = 0; !this.#isStopping;) {
      const publishes = Array.from({ length: below(entriesMax) + 1 }, (): Publish => {
        count += 1;
        return {
          ...channels[below(channels.length)]!,
          value: `${client}.${count}.${below(payloadBytesMax)}`,
        };
      });
      const refusal = await this.#publisher.append(publishes, client, client);
      if (refusal !== undefined) {
        this.#isStopping = true;
        if (this.#refusal === undefined) {
          this.#refusal = refusal;
          this.#health = this.#publisher.health;
        }
        return;
      }
      this.#accepted += publishes.length;
      // As if the next one came from a socket; a store that answers in microtasks would let nothing else happen.
      await setImmediate();
    }
  }
}

function below(bound: number): number {
  return Math.floor(Math.random() * bound);
}
