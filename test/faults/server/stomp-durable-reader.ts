import { setTimeout as sleep } from 'node:timers/promises';
import { parseCursor } from '@everywire/protocol';
import { StompClient, type ClientFrame } from '../../clients/stomp/client.ts';
import type { HistoryChecker } from '../checker/checker.ts';
import { nowNs, sightingOf } from './hopping-reader.ts';
import { envelopeOf, untilClosed } from './stomp-wires.ts';

const comeBackAfterMs = 25;

/**
 * A durable subscription that acknowledges each message and stores no position itself: the server has to know where to
 * resume. The server must mark messages that it delivers again.
 */
export class DurableReader {
  readonly name: string;
  readonly filter: string;
  readonly #http: string;
  readonly #checker: HistoryChecker;
  readonly #started = Promise.withResolvers<undefined>();
  #client: StompClient | undefined;
  #isStopped = false;
  #seq: number;
  delivered = 0;
  repeated = 0;
  readonly finished: Promise<void>;

  constructor(name: string, filter: string, http: string, from: string, checker: HistoryChecker) {
    this.name = name;
    this.filter = filter;
    this.#http = http;
    this.#checker = checker;
    this.#seq = parseCursor(from)!.seq;
    this.finished = this.#run(from);
  }

  /** Resolves once its subscription exists on the server. */
  get started(): Promise<undefined> {
    return this.#started.promise;
  }

  get seq(): number {
    return this.#seq;
  }

  /** Breaks its connection, as when its process is killed. */
  kill(): void {
    this.#client?.cut();
  }

  stop(): void {
    this.#isStopped = true;
    this.#client?.cut();
  }

  async #run(from: string): Promise<void> {
    const start: { after: string | undefined } = { after: from };
    while (!this.#isStopped) {
      const { name: subscriber, filter } = this;
      this.#checker.record({
        kind: 'start',
        atNs: nowNs(),
        subscriber,
        filters: [filter],
        afterSeq: this.#seq,
      });
      try {
        const client = await StompClient.open(this.#http);
        this.#client = client;
        client.onFrame = (frame) => {
          if (frame.command === 'RECEIPT') {
            start.after = undefined;
            this.#started.resolve(undefined);
          }
          if (frame.command === 'MESSAGE') this.#take(frame, client);
        };
        client.send('CONNECT', { 'accept-version': '1.2', 'client-id': this.name });
        client.send('SUBSCRIBE', {
          id: 'durable',
          destination: `/${filter}`,
          durable: 'true',
          ack: 'client-individual',
          receipt: 'started',
          ...(start.after === undefined ? {} : { after: start.after }),
        });
        await untilClosed(client);
      } catch {
        // No program listens: the server is dead.
      }
      await sleep(comeBackAfterMs);
    }
  }

  #take(frame: ClientFrame, client: StompClient): void {
    if (client !== this.#client) return;
    const redelivered = frame.headers['redelivered'] === 'true';
    const sighting = sightingOf(envelopeOf(frame));
    this.delivered += 1;
    if (sighting.seq <= this.#seq) this.repeated += 1;
    this.#seq = Math.max(this.#seq, sighting.seq);
    this.#checker.record({
      kind: 'delivered',
      atNs: nowNs(),
      subscriber: this.name,
      redelivered,
      ...sighting,
    });
    // A 1.2 client gives back what it was given; this one unescapes nothing, so it escapes nothing either.
    client.send('ACK', { id: frame.headers['ack']! });
  }
}
