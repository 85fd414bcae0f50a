import type { FinalRead, HistoryEvent, Rule, Sighting, Violation } from './history.ts';
import { Positions } from './positions.ts';
import { Publishes } from './publishes.ts';
import { Subscribers } from './subscribers.ts';
import { Unread } from './unread.ts';
import { Violations } from './violations.ts';

export interface Verdict {
  readonly violations: readonly Violation[];
  /** How often each broken rule was broken, beyond what `violations` shows. */
  readonly counts: ReadonlyMap<Rule, number>;
  readonly deliveries: number;
  readonly accepted: number;
}

export interface CheckerOptions {
  /** How long after the faults stop every healthy subscriber must have reached the head. */
  readonly headWithinMs?: number;
  readonly keptPerRuleMax?: number;
}

/**
 * Judges a run by eleven rules, from the histories of its clients and the final reads (the model is Jepsen's queue and
 * Kafka workloads). Feed events as they happen or afterwards; then the final reads; then ask for the verdict, once.
 */
export class HistoryChecker {
  readonly #violations: Violations;
  readonly #positions: Positions;
  readonly #publishes: Publishes;
  readonly #subscribers: Subscribers;
  readonly #unread: Unread;
  readonly #headWithinMs: number;
  #calmNs: number | undefined;
  #lastAcceptedNs = 0;
  #deliveries = 0;
  #accepted = 0;

  constructor({ headWithinMs = 5_000, keptPerRuleMax }: CheckerOptions = {}) {
    this.#headWithinMs = headWithinMs;
    this.#violations = new Violations(keptPerRuleMax);
    this.#positions = new Positions(this.#violations);
    this.#publishes = new Publishes(this.#violations);
    this.#subscribers = new Subscribers(this.#violations);
    this.#unread = new Unread(this.#violations);
  }

  record(event: HistoryEvent): void {
    switch (event.kind) {
      case 'delivered':
        this.#deliveries += 1;
        this.#subscribers.delivered(event, this.#positions.see(event, event.subscriber), this.#positions);
        break;
      case 'publish':
        this.#publishes.invoked(event);
        this.#unread.invoked(event);
        break;
      case 'accepted':
        this.#accepted += 1;
        this.#lastAcceptedNs = Math.max(this.#lastAcceptedNs, event.atNs);
        this.#publishes.accepted(this.#positions.see(event, 'a publisher'), event.atNs);
        this.#unread.accepted(event);
        break;
      case 'refused':
        this.#publishes.refused(event.value);
        break;
      case 'unknown':
        break;
      case 'start':
        this.#subscribers.started(event);
        break;
      case 'gap':
        this.#subscribers.gap(event);
        break;
      case 'stop':
        this.#subscribers.stopped(event.subscriber);
        break;
      case 'mark':
        this.#unread.marked(event);
        break;
      case 'unread':
        this.#unread.reported(event);
        break;
      case 'stored':
        this.#positions.see(event, 'the store');
        break;
      case 'dropped':
        this.#positions.log(event.channel, event.life).isDropped = true;
        break;
      case 'calm':
        this.#calmNs = event.atNs;
        break;
    }
  }

  /** The full read of one channel. A channel without any is one in which nothing is left. */
  finalRead(read: FinalRead): void {
    this.#positions.seeFinal(read, this.#publishes.excuses());
  }

  /** The one wildcard read by seq; after the reads by channel. */
  finalReadOfAll(messages: Iterable<Sighting>): void {
    this.#positions.seeFinalOfAll(messages);
  }

  verdict(): Verdict {
    // A message accepted after the faults stopped has its own five seconds.
    const fromNs = this.#calmNs === undefined ? undefined : Math.max(this.#calmNs, this.#lastAcceptedNs);
    const deadlineNs = fromNs === undefined ? Number.POSITIVE_INFINITY : fromNs + this.#headWithinMs * 1e6;
    this.#publishes.judge(this.#positions);
    this.#subscribers.judge(this.#positions, this.#publishes, deadlineNs);
    this.#unread.judge();
    return {
      violations: this.#violations.kept,
      counts: this.#violations.counts,
      deliveries: this.#deliveries,
      accepted: this.#accepted,
    };
  }
}
