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

/** For the sentence of a refusal: an operator must find the setting, and a client the rate that it had. */
interface Bound {
  /** With `%` for the observed rate. */
  readonly whatItDoes: string;
  readonly setting: string;
  readonly perSecond: number;
}

const ofConnection: Readonly<Record<Kind, Omit<Bound, 'perSecond'>>> = {
  publishes: {
    whatItDoes: 'this connection publishes about % messages per second',
    setting: 'limits.publishesPerSecondMax',
  },
  operations: {
    whatItDoes: 'this connection subscribes, reads or lists about % times per second',
    setting: 'limits.operationsPerSecondMax',
  },
};

/** How fast peers that are bounded may publish and ask, by connection and by subject. */
export class Throttle {
  readonly #clock: Clock;
  readonly #rates: Readonly<Record<Kind, Rate>>;
  readonly #bySubject: Buckets<string>;
  readonly #byChannel = new Map<number, Buckets<string>>();
  /** 0: any number. */
  readonly #subjectPerSecond: number;
  readonly #onRefused: () => void;

  /** @param onRefused is called for each refusal */
  constructor(limits: Limits, clock: Clock, onRefused: () => void = () => undefined) {
    this.#clock = clock;
    this.#onRefused = onRefused;
    this.#rates = {
      publishes: { perSecond: limits.publishesPerSecondMax, burst: limits.publishesBurstMax },
      operations: { perSecond: limits.operationsPerSecondMax, burst: limits.operationsBurstMax },
    };
    const perSecond = limits.subjectPublishesPerSecondMax;
    this.#subjectPerSecond = perSecond;
    this.#bySubject = new Buckets({ perSecond, burst: perSecond * 2 });
  }

  /** @throws EverywireError `rate_limited` with when to come back */
  publishes(identity: Identity, counted: Counted, count: number): void {
    this.#take('publishes', identity, counted, count);
    const { subject } = identity;
    if (this.#subjectPerSecond === 0 || !isBounded(identity) || subject === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    this.#takeFrom(this.#bySubject.of(subject, nowMs), count, nowMs, {
      whatItDoes: 'the connections of this subject publish about % messages per second together',
      setting: 'limits.subjectPublishesPerSecondMax',
      perSecond: this.#subjectPerSecond,
    });
  }

  /** How long `publishes` would refuse from now on; 0: not at all. */
  publishWaitMs(identity: Identity, { publishes }: Counted): number {
    if (!isBounded(identity)) return 0;
    const nowMs = this.#clock.monotonicMs();
    const { subject } = identity;
    const ofSubject = subject === undefined ? 0 : this.#bySubject.waitMs(subject, nowMs);
    return Math.max(publishes?.waitMs(nowMs) ?? 0, ofSubject);
  }

  /** The rate of one channel, for all publishers together. @throws EverywireError `rate_limited` */
  channel(channel: string, perSecond: number): void {
    if (perSecond === 0) return;
    let buckets = this.#byChannel.get(perSecond);
    if (buckets === undefined) {
      // One for each rate that the configuration names.
      this.#byChannel.set(perSecond, (buckets = new Buckets({ perSecond, burst: perSecond * 2 })));
    }
    const nowMs = this.#clock.monotonicMs();
    this.#takeFrom(buckets.of(channel, nowMs), 1, nowMs, {
      whatItDoes: 'about % messages per second are published to this channel',
      setting: 'publishesPerSecondMax of its namespace',
      perSecond,
    });
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

  #takeFrom(bucket: Bucket, count: number, nowMs: number, { whatItDoes, setting, perSecond }: Bound): void {
    const waitMs = bucket.take(count, nowMs);
    if (waitMs <= 0) return;
    this.#onRefused();
    const observed = whatItDoes.replace('%', String(bucket.observedPerSecond));
    throw new EverywireError(
      'rate_limited',
      `Rate limit exceeded: ${observed}, and ${setting} is ${perSecond}.`,
      {
        retryAfterMs: waitMs,
      },
    );
  }

  #take(kind: Kind, identity: Identity, counted: Counted, count: number): void {
    const rate = this.#rates[kind];
    if (rate.perSecond === 0 || !isBounded(identity)) return;
    const nowMs = this.#clock.monotonicMs();
    const bucket = (counted[kind] ??= new Bucket(rate, nowMs));
    this.#takeFrom(bucket, count, nowMs, { ...ofConnection[kind], perSecond: rate.perSecond });
  }
}
