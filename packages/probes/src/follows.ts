import { matches, parseFilter, type Filter } from '@everywire/protocol';
import { Queue } from './queue.ts';
import type { Arrival } from './session.ts';

/** `$share/<group>/` in front of a filter makes a group of its followers. */
const share = /^\$share\/[^/]*\//;

/**
 * The followers on one connection whose messages name a channel, but not the subscription. A single follower gets all
 * messages; of several, those whose filter matches get a message.
 */
export class Follows {
  readonly #queues = new Map<
    Queue<Arrival>,
    { readonly text: string; readonly filter: Filter | undefined }
  >();
  #ended: Error | undefined;

  begin(channel: string): Queue<Arrival> {
    const queue = new Queue<Arrival>();
    this.#queues.set(queue, { text: channel, filter: parse(channel.replace(share, '')) });
    if (this.#ended !== undefined) queue.end(this.#ended);
    return queue;
  }

  /** @returns whether the server still has this subscription, which must then be ended there */
  finish(queue: Queue<Arrival>): boolean {
    return this.#queues.delete(queue) && this.#ended === undefined;
  }

  deliver(channel: string, arrival: Arrival): void {
    for (const [queue, { filter }] of this.#queues) {
      if (this.#queues.size === 1 || filter === undefined || matches(filter, channel)) queue.push(arrival);
    }
  }

  /** The server ended one subscription. */
  endOf(channel: string, reason: Error): void {
    for (const [queue, { text }] of this.#queues) if (text === channel) queue.end(reason);
  }

  end(reason: Error): void {
    this.#ended ??= reason;
    for (const queue of this.#queues.keys()) queue.end(this.#ended);
  }
}

/** So large that only the limits of the server count. */
const limits = { nameBytesMax: 65_535, nameLevelsMax: 1_000, filterWildcardsMax: 1_000 };

/** `undefined` for a filter that only the server understands, such as `$SYS/#`: its follower gets everything. */
function parse(text: string): Filter | undefined {
  try {
    return parseFilter(text, limits);
  } catch {
    return undefined;
  }
}
