import type { PublishInvoked } from './history.ts';
import { name, type ChannelLog, type Known, type Positions } from './positions.ts';
import type { Violations } from './violations.ts';

interface Publish {
  readonly first: PublishInvoked;
  /** The other clients that sent it: any of the attempts may be the stored one. */
  otherClients: string[] | undefined;
  attempts: number;
  refusals: number;
  acceptedNs: number;
  /** Where it was answered, or found, to be. */
  place: Known | undefined;
}

/** Compares the answers to publishers with the stored messages: rules 1, 2, 4, 5 and 8. */
export class Publishes {
  readonly #byValue = new Map<string, Publish>();
  readonly #lanes = new Map<string, Publish[]>();
  readonly #violations: Violations;

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  invoked(event: PublishInvoked): void {
    const known = this.#byValue.get(event.value);
    if (known !== undefined) {
      known.attempts += 1;
      if (event.client !== known.first.client) (known.otherClients ??= []).push(event.client);
      return;
    }
    const publish: Publish = {
      first: event,
      otherClients: undefined,
      attempts: 1,
      refusals: 0,
      acceptedNs: Number.POSITIVE_INFINITY,
      place: undefined,
    };
    this.#byValue.set(event.value, publish);
    if (event.lane === undefined) return;
    const key = `${event.lane}\n${event.channel}`;
    const lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, [publish]);
    else lane.push(publish);
  }

  accepted(place: Known, atNs: number): void {
    const publish = this.#byValue.get(place.value);
    if (publish === undefined) {
      this.#violations.add('divergence', `an answer names ${name(place)}, which no client published`);
      return;
    }
    publish.acceptedNs = Math.min(publish.acceptedNs, atNs);
    this.#found(publish, place);
  }

  refused(value: string): void {
    const publish = this.#byValue.get(value);
    if (publish !== undefined) publish.refusals += 1;
  }

  wasSentBy(client: string, value: string): boolean {
    const publish = this.#byValue.get(value);
    return publish?.first.client === client || publish?.otherClients?.includes(client) === true;
  }

  mayExpire(value: string): boolean {
    return this.#byValue.get(value)?.first.mayExpire === true;
  }

  /** Explains holes by publishes that may have expired; each of unknown place explains one. */
  excuses(): (log: ChannelLog, offset: number) => boolean {
    const unplaced = new Map<string, number>();
    for (const { first, place, attempts, refusals } of this.#byValue.values()) {
      if (first.mayExpire === true && place === undefined && refusals < attempts)
        unplaced.set(first.channel, (unplaced.get(first.channel) ?? 0) + 1);
    }
    return (log, offset) => {
      const known = log.known[offset];
      if (known !== undefined) return this.mayExpire(known.value);
      const left = unplaced.get(log.channel) ?? 0;
      unplaced.set(log.channel, left - 1);
      return left > 0;
    };
  }

  /** The rules that need everything: call once, after the final reads. */
  judge(positions: Positions): void {
    for (const log of positions.logs) {
      for (const first of log.known)
        for (let known = first; known !== undefined; known = known.other) this.#judgeKnown(known);
      this.#judgeOrder(log);
    }
    for (const publish of this.#byValue.values()) this.#judgeAccepted(publish);
    for (const lane of this.#lanes.values()) this.#judgeLane(lane);
  }

  #found(publish: Publish, place: Known): void {
    if (publish.place === undefined) publish.place = place;
    else if (publish.place !== place)
      this.#violations.add('duplicate', `${name(place)} is also stored as ${name(publish.place)}`);
  }

  #judgeKnown(known: Known): void {
    if (known.isDelivered && !known.isFinal && !isGone(known) && !this.mayExpire(known.value))
      this.#violations.add('dirty delivery', `${name(known)} was delivered and is not stored`);
    const publish = this.#byValue.get(known.value);
    if (publish === undefined) {
      // A run that records no publishes judges subscribers only.
      if (this.#byValue.size > 0)
        this.#violations.add('divergence', `a client saw ${name(known)}, which no client published`);
      return;
    }
    this.#found(publish, known);
    if (publish.refusals >= publish.attempts)
      this.#violations.add('aborted read', `${name(known)} was refused, yet it was stored or delivered`);
  }

  #judgeAccepted({ place, acceptedNs, first }: Publish): void {
    if (place === undefined || acceptedNs === Number.POSITIVE_INFINITY) return;
    if (!place.isFinal && !isGone(place) && first.mayExpire !== true)
      this.#violations.add('lost', `${name(place)} was accepted and is not in the final read`);
  }

  /** `accepted(A) < invoked(B)` demands offset(A) < offset(B): compare each B with the earliest answer above it. */
  #judgeOrder(log: ChannelLog): void {
    let earliest: Publish | undefined;
    for (let offset = log.known.length - 1; offset > 0; offset -= 1) {
      const known = log.known[offset];
      const publish = known === undefined ? undefined : this.#byValue.get(known.value);
      if (known === undefined || publish?.place !== known) continue;
      if (earliest !== undefined && earliest.acceptedNs < publish.first.atNs) {
        const above = earliest.place!;
        this.#violations.add('order', `${name(above)} was accepted before ${name(known)} was sent`);
      }
      if (earliest === undefined || publish.acceptedNs < earliest.acceptedNs) earliest = publish;
    }
  }

  #judgeLane(lane: readonly Publish[]): void {
    let last: Known | undefined;
    for (const { place } of lane) {
      if (place === undefined) continue;
      if (last?.log === place.log && place.offset < last.offset)
        this.#violations.add('order', `${name(place)} was sent after ${name(last)} on one connection`);
      last = place;
    }
  }
}

/** Gone by a declared act: deleted, or trimmed by retention. */
export function isGone(known: Known): boolean {
  return known.log.isDropped || known.offset <= known.log.trimmedThrough;
}
