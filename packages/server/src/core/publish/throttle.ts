import { EverywireError } from '@everywire/protocol';
import { isBounded, type Identity } from '../sessions/access.ts';
import type { Clock } from '../clock.ts';
import type { Limits } from '../limits.ts';
import { Bucket, Buckets, type Rate } from './rates.ts';

/** What keeps the buckets of one connection; an object of the transport's own, empty at first. */
export interface Counted {
  publishes?: Bucket | undefined;
  operations?: Bucket | undefined;
}

type Kind = 'publishes' | 'operations';

/** How fast peers that are bounded may publish and ask, by connection and by subject. */
export class Throttle {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<Kind, Rate>>;
  readonly #bySubject: Buckets<string>;
  readonly #byChannel = new Map<number, Buckets<string>>();
  readonly #isSubjectBounded: boolean;
  readonly #onRefused: () => void;

  /** @param onRefused is told of each refusal */
  constructor(limits: Limits, clock: Clock, onRefused: () => void = () => undefined) {
    this.#clock = clock;
    this.#onRefused = onRefused;
    this.#rates = {
      publishes: { perSecond: limits.publishesPerSecondMax, burst: limits.publishesBurstMax },
      operations: { perSecond: limits.operationsPerSecondMax, burst: limits.operationsBurstMax },
    };
    const perSecond = limits.subjectPublishesPerSecondMax;
    this.#isSubjectBounded = perSecond > 0;
    this.#bySubject = new Buckets({ perSecond, burst: perSecond * 2 });
  }

  /** @throws EverywireError `rate_limited` with when to come back */
  publishes(identity: Identity, counted: Counted, count: number): void {
    this.#take('publishes', identity, counted, count);
    const { subject } = identity;
    if (!this.#isSubjectBounded || !isBounded(identity) || subject === undefined) return;
    this.#refuseFor(this.#bySubject.take(subject, count, this.#clock.monotonicMs()));
  }

  /** How long `publishes` would refuse from now on; 0: not at all. */
  publishWaitMs(identity: Identity, { publishes }: Counted): number {
    if (!isBounded(identity)) return 0;
    const nowMs = this.#clock.monotonicMs();
    const { subject } = identity;
    const ofSubject = subject === undefined ? 0 : this.#bySubject.waitMs(subject, nowMs);
    return Math.max(publishes?.waitMs(nowMs) ?? 0, ofSubject);
  }

  /** What one channel takes, whoever publishes. @throws EverywireError `rate_limited` */
  channel(channel: string, perSecond: number): void {
    if (perSecond === 0) return;
    let buckets = this.#byChannel.get(perSecond);
    if (buckets === undefined) {
      // One for each rate that the configuration names.
      this.#byChannel.set(perSecond, (buckets = new Buckets({ perSecond, burst: perSecond * 2 })));
    }
    const waitMs = buckets.take(channel, 1, this.#clock.monotonicMs());
    this.#refuseFor(waitMs, 'This channel takes no more messages in a second.');
  }

  /** Subscribing, reading, listing. @throws EverywireError `rate_limited` */
  operation(identity: Identity, counted: Counted): void {
    this.#take('operations', identity, counted, 1);
  }

  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#bySubject.sweep(nowMs);
    for (const buckets of this.#byChannel.values()) buckets.sweep(nowMs);
  }

  #refuseFor(waitMs: number, why = 'That is more than this token may do in a second.'): void {
    if (waitMs <= 0) return;
    this.#onRefused();
    throw new EverywireError('rate_limited', why, { retryAfterMs: waitMs });
  }

  #take(kind: Kind, identity: Identity, counted: Counted, count: number): void {
    const rate = this.#rates[kind];
    if (rate.perSecond === 0 || !isBounded(identity)) return;
    const nowMs = this.#clock.monotonicMs();
    this.#refuseFor((counted[kind] ??= new Bucket(rate, nowMs)).take(count, nowMs));
  }
}
