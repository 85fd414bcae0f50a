import type { FinalRead, Sighting } from './history.ts';
import type { Violations } from './violations.ts';

/** One message, on which all its sightings agree. */
export interface Known {
  readonly log: ChannelLog;
  readonly offset: number;
  readonly epoch: string;
  readonly seq: number;
  readonly tag: string;
  readonly value: string;
  isDelivered: boolean;
  isFinal: boolean;
  /** Another message at the same offset under another epoch: it remains when a store loses its tail. */
  other: Known | undefined;
}

/** One life of one channel. */
export interface ChannelLog {
  readonly channel: string;
  readonly life: string;
  /** By offset, with holes where no client saw a message. */
  readonly known: (Known | undefined)[];
  /** Deleted on purpose. */
  isDropped: boolean;
  trimmedThrough: number;
}

/**
 * Every position that any client saw, by (epoch, seq) and by (channel, life, epoch, offset). A second value at one of them
 * is a divergence (rule 3), for all clients and at any time. Memory grows with messages, not with deliveries.
 */
export class Positions {
  readonly #logs = new Map<string, ChannelLog>();
  readonly #lives = new Map<string, ChannelLog[]>();
  readonly #bySeq = new Map<string, Map<number, Known>>();
  readonly #violations: Violations;

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  get logs(): Iterable<ChannelLog> {
    return this.#logs.values();
  }

  livesOf(channel: string): readonly ChannelLog[] {
    return this.#lives.get(channel) ?? [];
  }

  log(channel: string, life = ''): ChannelLog {
    const key = life === '' ? channel : `${channel}\n${life}`;
    let log = this.#logs.get(key);
    if (log === undefined) {
      log = { channel, life, known: [], isDropped: false, trimmedThrough: 0 };
      this.#logs.set(key, log);
      const lives = this.#lives.get(channel);
      if (lives === undefined) this.#lives.set(channel, [log]);
      else lives.push(log);
    }
    return log;
  }

  at(epoch: string, seq: number): Known | undefined {
    return this.#bySeq.get(epoch)?.get(seq);
  }

  /** Records a sighting; `observer` is for the message of a violation. */
  see(sighting: Sighting, observer: string): Known {
    const log = this.log(sighting.channel, sighting.life);
    const first = log.known[sighting.offset];
    for (let known = first; known !== undefined; known = known.other) {
      if (known.epoch !== sighting.epoch) continue;
      if (known.seq !== sighting.seq || known.tag !== sighting.tag || known.value !== sighting.value) {
        this.#violations.add(
          'divergence',
          `${observer} saw ${name(sighting)} where ${name(known)} was known`,
        );
      }
      return known;
    }
    const { offset, epoch, seq, tag, value } = sighting;
    const known: Known = {
      log,
      offset,
      epoch,
      seq,
      tag,
      value,
      isDelivered: false,
      isFinal: false,
      other: first,
    };
    log.known[offset] = known;
    this.#enterSeq(known, observer);
    return known;
  }

  /** Enters a final read; holes and disorder in it are rules 6 and 5. `isExcused` explains an offset that is absent. */
  seeFinal(read: FinalRead, isExcused: (log: ChannelLog, offset: number) => boolean): void {
    const log = this.log(read.channel, read.life);
    log.trimmedThrough = read.trimmedThrough;
    let offset = read.trimmedThrough;
    let seq = -1;
    for (const message of read.messages) {
      for (let absent = offset + 1; absent < message.offset; absent += 1) {
        if (!isExcused(log, absent))
          this.#violations.add('hole', `final read of ${read.channel} has no offset ${absent}`);
      }
      if (message.offset <= offset)
        this.#violations.add(
          'hole',
          `final read of ${read.channel} has offset ${message.offset} after ${offset}`,
        );
      if (message.seq <= seq)
        this.#violations.add('order', `in ${read.channel} seq falls from ${seq} at ${name(message)}`);
      ({ offset, seq } = message);
      this.see(message, 'final read').isFinal = true;
    }
  }

  /** The wildcard read: one order over all channels, and the same messages as the reads by channel. */
  seeFinalOfAll(messages: Iterable<Sighting>): void {
    let seq = -1;
    let count = 0;
    for (const message of messages) {
      if (message.seq <= seq)
        this.#violations.add('hole', `wildcard read: ${name(message)} comes after seq ${seq}`);
      seq = message.seq;
      count += 1;
      if (!this.see(message, 'wildcard read').isFinal)
        this.#violations.add('hole', `${name(message)} is in the wildcard read but not in its channel's`);
    }
    let expected = 0;
    for (const log of this.#logs.values())
      for (const known of log.known) if (known?.isFinal === true) expected += 1;
    if (count < expected)
      this.#violations.add('hole', `wildcard read has ${count} messages, the channels have ${expected}`);
  }

  #enterSeq(known: Known, observer: string): void {
    let epoch = this.#bySeq.get(known.epoch);
    if (epoch === undefined) this.#bySeq.set(known.epoch, (epoch = new Map()));
    const twin = epoch.get(known.seq);
    if (twin !== undefined)
      this.#violations.add('divergence', `${observer} saw ${name(known)} at the position of ${name(twin)}`);
    else epoch.set(known.seq, known);
  }
}

/** A message in words. */
export function name(seen: Sighting | Known): string {
  const channel = 'log' in seen ? seen.log.channel : seen.channel;
  return `${channel}#${seen.offset} (epoch ${seen.epoch}, seq ${seen.seq}, tag ${seen.tag}, value ${seen.value.slice(0, 40)})`;
}
