import { EverywireError } from '@everywire/protocol';
import type { Identity } from './access.ts';
import type { Clock } from './clock.ts';
import type { Limits } from './limits.ts';
import { Bucket, Buckets, type Rate } from './rates.ts';

/** What keeps the buckets of one connection; an object of the transport's own, empty at first. */
export interface Counted {
  publishes?: Bucket | undefined;
  operations?: Bucket | undefined;
}

type Kind = 'publishes' | 'operations';

/**
 * How fast peers may publish and ask. It holds for those who have shown a token, by connection and by subject: without
 * authentication nobody can be told from anybody else, and administrators are the operator's own backends.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<Kind, Rate>>;
  readonly #bySubject: Buckets<string>;
  readonly #isSubjectBounded: boolean;

  constructor(limits: Limits, clock: Clock) {
    this.#clock = clock;
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
    if (!this.#isSubjectBounded || !isCounted(identity) || subject === undefined) return;
    refuseFor(this.#bySubject.take(subject, count, this.#clock.monotonicMs()));
  }

  /** Subscribing, reading, listing. @throws EverywireError `rate_limited` */
  operation(identity: Identity, counted: Counted): void {
    this.#take('operations', identity, counted, 1);
  }

  sweep(): void {
    this.#bySubject.sweep(this.#clock.monotonicMs());
  }

  #take(kind: Kind, identity: Identity, counted: Counted, count: number): void {
    const rate = this.#rates[kind];
    if (rate.perSecond === 0 || !isCounted(identity)) return;
    const nowMs = this.#clock.monotonicMs();
    refuseFor((counted[kind] ??= new Bucket(rate, nowMs)).take(count, nowMs));
  }
}

function isCounted({ claims, isAdmin }: Identity): boolean {
  return claims !== undefined && !isAdmin;
}

function refuseFor(waitMs: number): void {
  if (waitMs === 0) return;
  throw new EverywireError('rate_limited', 'That is more than this token may do in a second.', {
    retryAfterMs: waitMs,
  });
}
