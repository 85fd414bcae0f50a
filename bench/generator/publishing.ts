import { nowUs } from '../clock.ts';
import { Histogram, type LatencySummary } from '../histogram.ts';
import { Pacer, type PaceReport } from '../pacer.ts';
import { makePayload } from '../payload.ts';
import { openPublisher, type PublishTarget, type Publisher } from './publishers.ts';

export interface PacePlan {
  readonly target: PublishTarget;
  /** Publishes go round robin over `<channel>` or, with `channels` > 1, over `<channel><n>`. */
  readonly channel: string;
  readonly channels: number;
  readonly ratePerSecond: number;
  readonly payloadBytes: number;
  readonly connections: number;
  /** Unanswered publishes per connection beyond which messages are skipped: the server is behind. */
  readonly inFlightMax: number;
}

export interface FloodPlan {
  readonly target: PublishTarget;
  readonly channel: string;
  readonly payloadBytes: number;
  readonly connections: number;
  readonly inFlightPerConnection: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface CountPlan {
  readonly target: PublishTarget;
  readonly channel: string;
  readonly payloadBytes: number;
  readonly messages: number;
  readonly inFlight: number;
}

export interface FloodReport {
  readonly acknowledged: number;
  readonly refused: number;
  readonly elapsedMs: number;
  readonly latency: LatencySummary;
}

/** Publishes at a steady rate until stopped; sequence numbers continue from one start to the next. */
export class PacedPublishing {
  #lastSeq = 0;
  #running: { readonly pacer: Pacer; readonly publishers: readonly Publisher[]; refused: number } | undefined;

  async start(plan: PacePlan): Promise<void> {
    const onAnswer = (isOk: boolean): void => {
      if (!isOk && this.#running !== undefined) this.#running.refused++;
    };
    const publishers = await Promise.all(
      Array.from({ length: plan.connections }, () => openPublisher(plan.target, onAnswer)),
    );
    let turn = 0;
    const pacer = new Pacer(() => {
      const publisher = publishers[turn % publishers.length]!;
      if (publisher.inFlight >= plan.inFlightMax) return false;
      const channel = plan.channels === 1 ? plan.channel : `${plan.channel}${turn % plan.channels}`;
      turn++;
      publisher.publish(channel, makePayload(++this.#lastSeq, plan.payloadBytes));
      return true;
    });
    this.#running = { pacer, publishers, refused: 0 };
    pacer.start(plan.ratePerSecond);
  }

  /** Stops, waits until every publish has its answer, and reports. `lastSeq` is the last number published so far. */
  async stop(): Promise<PaceReport & { readonly refused: number; readonly lastSeq: number }> {
    const running = this.#running;
    if (running === undefined) return { sent: 0, skipped: 0, refused: 0, lastSeq: this.#lastSeq };
    const report = running.pacer.stop();
    const giveUpMs = performance.now() + 10_000;
    while (running.publishers.some(({ inFlight }) => inFlight > 0) && performance.now() < giveUpMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const publisher of running.publishers) publisher.close();
    this.#running = undefined;
    return { ...report, refused: running.refused, lastSeq: this.#lastSeq };
  }
}

/** Keeps a fixed number of publishes in flight: each answer sends the next. */
export async function flood(plan: FloodPlan): Promise<FloodReport> {
  const latency = new Histogram();
  let acknowledged = 0;
  let refused = 0;
  let seq = 0;
  let isRunning = true;
  const publishers = await Promise.all(
    Array.from({ length: plan.connections }, async () => {
      // Answers come in the order of the publishes, so the oldest start time is the one that is answered.
      const startsUs: number[] = [];
      const publisher: Publisher = await openPublisher(plan.target, (isOk) => {
        latency.add(nowUs() - startsUs.shift()!);
        if (isOk) acknowledged += publisher.messagesEach ?? 1;
        else refused++;
        if (isRunning) send();
      });
      const send = (): void => {
        startsUs.push(nowUs());
        publisher.publish(plan.channel, makePayload(++seq, plan.payloadBytes));
      };
      return { publisher, send };
    }),
  );
  for (const { send } of publishers) for (let i = 0; i < plan.inFlightPerConnection; i++) send();
  await new Promise((resolve) => setTimeout(resolve, plan.warmUpMs));
  latency.reset();
  acknowledged = 0;
  refused = 0;
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, plan.durationMs));
  const report = {
    acknowledged,
    refused,
    elapsedMs: performance.now() - startedMs,
    latency: latency.summary(),
  };
  isRunning = false;
  for (const { publisher } of publishers) publisher.close();
  return report;
}

/** Publishes `messages` over one connection, numbered from 1; resolves when the last one is acknowledged. */
export async function publishCount(plan: CountPlan): Promise<{ readonly elapsedMs: number }> {
  const done = Promise.withResolvers<undefined>();
  let acknowledged = 0;
  let seq = 0;
  const publisher = await openPublisher(plan.target, (isOk) => {
    if (!isOk) done.reject(new Error('a publish was refused'));
    if (++acknowledged === plan.messages) done.resolve(undefined);
    else if (seq < plan.messages) send();
  });
  const send = (): void => publisher.publish(plan.channel, makePayload(++seq, plan.payloadBytes));
  const startedMs = performance.now();
  for (let i = 0; i < Math.min(plan.inFlight, plan.messages); i++) send();
  await done.promise;
  const elapsedMs = performance.now() - startedMs;
  publisher.close();
  return { elapsedMs };
}
