import { checkChannel, EverywireError, formatCursor, toEverywireError } from '@everywire/protocol';
import type { Clock, Random } from '../clock.ts';
import type { Limits } from '../limits.ts';
import { checkDraft } from '../log/drafts.ts';
import { createIds } from '../log/ids.ts';
import { countRefusal } from '../figures.ts';
import type { Namespaces } from '../log/namespaces.ts';
import { logRefusal } from '../refusal.ts';
import type { Figures, Traffic } from '../seams/hub-api.ts';
import type { Log } from '../seams/log.ts';
import type {
  Published,
  PublishDraft,
  PublishEntry,
  PublishOptions,
  PublishResult,
} from '../seams/session-api.ts';
import type { Entry, Store } from '../seams/store.ts';
import type { Access, Identity } from '../sessions/access.ts';
import type { Counted, Throttle } from './throttle.ts';

export interface PublisherParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly access: Access;
  readonly namespaces: Namespaces;
  readonly limits: Limits;
  readonly throttle: Throttle;
  readonly figures: Pick<Figures, 'published' | 'refused' | 'refusedByCode' | 'publishing'>;
  readonly log: Log;
}

/** The publishing session. */
export interface Author {
  readonly identity: Identity;
  readonly counted: Counted;
  readonly traffic: Traffic;
  /** Gets the id of each message before it is stored. */
  noteOwn(id: string): void;
}

/** Checks what is published, authorises it, counts it, and appends it to the store. */
export class Publisher {
  readonly #parts: PublisherParts;
  readonly #nextId: () => string;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#nextId = createIds(parts.clock, parts.random);
  }

  async publish(
    author: Author,
    { channel, draft }: PublishEntry,
    options?: PublishOptions,
  ): Promise<Published> {
    this.#countPublishes(author, 1);
    const entry = this.#prepare(author.identity, channel, draft, true);
    author.noteOwn(entry.draft.id);
    const [result] = await this.#append(author.traffic, [entry], options);
    if (result instanceof EverywireError) throw result;
    return result!;
  }

  async publishAll(
    author: Author,
    entries: readonly PublishEntry[],
    options: PublishOptions & { readonly atomic?: boolean } = {},
  ): Promise<readonly PublishResult[]> {
    this.#countPublishes(author, entries.length);
    const results: (PublishResult | undefined)[] = [];
    const accepted: Entry[] = [];
    for (const { channel, draft } of entries) {
      try {
        accepted.push(this.#prepare(author.identity, channel, draft, true));
        results.push(undefined);
      } catch (refusal) {
        if (options.atomic === true) throw refusal;
        results.push(toEverywireError(refusal));
      }
    }
    for (const { draft } of accepted) author.noteOwn(draft.id);
    // A message that is refused here prevents the write of the records, like one that the store refuses.
    const given = accepted.length === entries.length ? options : { ...options, records: undefined };
    const appended = accepted.length === 0 ? [] : await this.#append(author.traffic, accepted, given);
    let next = 0;
    return results.map((refused) => refused ?? appended[next++]!);
  }

  /** How long publishing would be refused for its rate. */
  waitMs({ identity, counted }: Author): number {
    return this.#parts.throttle.publishWaitMs(identity, counted);
  }

  /** @throws EverywireError what publishing that now would throw, but for its rate */
  check(identity: Identity, channel: string, draft: PublishDraft): void {
    this.#prepare(identity, channel, draft, false);
  }

  #countPublishes({ identity, counted }: Author, count: number): void {
    try {
      this.#parts.throttle.publishes(identity, counted, count);
    } catch (refusal) {
      countRefusal(this.#parts.figures, toEverywireError(refusal), count);
      throw refusal;
    }
  }

  /** Checks one message, and with `isCounted` the rate of its channel. @throws EverywireError */
  #prepare(identity: Identity, channel: string, given: PublishDraft, isCounted: boolean): Entry {
    const { limits, access, clock, namespaces, throttle, figures, log } = this.#parts;
    try {
      checkChannel(channel, limits);
      access.authorizePublish(identity, channel);
      const stamp = { id: this.#nextId(), nowMs: clock.nowMs(), from: identity.subject };
      const rules = namespaces.rulesOf(channel);
      const { retention } = rules;
      const draft = checkDraft(given, stamp, limits, rules);
      if (isCounted) throttle.channel(channel, rules.publishesPerSecondMax);
      return { channel, draft, retention };
    } catch (refusal) {
      countRefusal(figures, toEverywireError(refusal));
      logRefusal(log, identity, { publish: channel }, refusal);
      throw refusal;
    }
  }

  async #append(
    traffic: Traffic,
    entries: readonly Entry[],
    { atomic, records, fences }: PublishOptions & { readonly atomic?: boolean } = {},
  ): Promise<readonly PublishResult[]> {
    const { store, figures, clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    const appended = await store.append(entries, {
      ...(atomic === undefined ? {} : { atomic }),
      ...(records === undefined ? {} : { records }),
      ...(fences === undefined ? {} : { fences }),
    });
    figures.publishing.observe(clock.monotonicMs() - startedMs);
    return appended.map((result, at) => {
      if (result instanceof EverywireError) {
        countRefusal(figures, result);
        return result;
      }
      if (!result.duplicate) {
        figures.published += 1;
        traffic.published += 1;
        traffic.publishedBytes += entries[at]!.draft.payload.length;
      }
      const { channel, offset, seq, id, timeMs, duplicate } = result;
      return { channel, offset, cursor: formatCursor(result), seq, id, timeMs, duplicate };
    });
  }
}
