import { Histogram, type LatencySummary } from '../histogram.ts';
import { handshakeOf, type SessionPhase, type WireName } from './handshakes.ts';
import { Subscriber } from './subscriber.ts';

export interface GroupPlan {
  readonly count: number;
  readonly port: number;
  readonly wire: WireName;
  readonly path: string;
  /** Connections that may be under way at once. More than the server's backlog costs a second of TCP retry each. */
  readonly connectingMax: number;
  readonly payloadBytes: number;
  readonly ordered: boolean;
  /** Where each one resumes: the one with index i at the i-th of these, over and over. */
  readonly resume?: readonly ResumePlan[];
  readonly sampleEvery: number;
  /** Each shows it. */
  readonly token?: string | undefined;
  /** MQTT only: each subscriber starts a durable session, or returns to one. */
  readonly session?: SessionPhase;
  /** `everywire.v1` only: subscribes each connection to the next so many of the channels `<prefix><n>`, n < total. */
  readonly channels?: { readonly prefix: string; readonly total: number; readonly perConnection: number };
}

export interface ResumePlan {
  /** In place of the plan's. */
  readonly path: string;
  /** The number of the last message before that place, so that the first arrival is checked too. */
  readonly afterSeq: number;
}

export interface GroupReport {
  readonly connections: number;
  /** Connections that are still open. */
  readonly open: number;
  /** Since the last mark. */
  readonly arrived: number;
  readonly elapsedMs: number;
  /** Number of the last message at the subscriber that is furthest behind, and at the one furthest ahead. */
  readonly lastSeqMin: number;
  readonly lastSeqMax: number;
  /** Messages lost, repeated or reordered, over all subscribers since they connected. */
  readonly violations: number;
  readonly latency: LatencySummary;
}

// Enough source addresses that no run of this bench can use up the ports of one.
const sourceAddresses = 16;

let groups = 0;

/** A number of equal subscribers, driven and asked as one. */
export class Group {
  readonly #latency = new Histogram();
  readonly #subscribers: readonly Subscriber[];
  readonly #plan: GroupPlan;
  /** No two connections may have one name, except those of sessions, which are returned to. */
  readonly #clientPrefix: string;
  #markedCount = 0;
  #markedMs = performance.now();
  #target: { readonly seq: number; left: number; readonly resolve: () => void } | undefined;

  constructor(plan: GroupPlan) {
    this.#plan = plan;
    this.#clientPrefix = plan.session === undefined ? `bench-${process.pid}-${++groups}-` : 'bench-session-';
    this.#subscribers = Array.from({ length: plan.count }, (_, i) => this.#makeSubscriber(i));
  }

  /** Opens every connection, at most `connectingMax` at a time. Rejects with the first refusal. */
  async connect(): Promise<void> {
    const queue = this.#subscribers[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const subscriber of queue) await subscriber.open();
    };
    await Promise.all(Array.from({ length: this.#plan.connectingMax }, work));
  }

  /** Begins a new measurement: latencies and `arrived` count from here. */
  mark(): void {
    this.#latency.reset();
    this.#markedCount = this.#total();
    this.#markedMs = performance.now();
  }

  report(): GroupReport {
    let min = Number.POSITIVE_INFINITY;
    let max = 0;
    let violations = 0;
    let open = 0;
    for (const { arrivals, isOpen } of this.#subscribers) {
      min = Math.min(min, arrivals.lastSeq);
      max = Math.max(max, arrivals.lastSeq);
      violations += arrivals.violations;
      if (isOpen) open++;
    }
    return {
      connections: this.#subscribers.length,
      open,
      arrived: this.#total() - this.#markedCount,
      elapsedMs: performance.now() - this.#markedMs,
      lastSeqMin: min,
      lastSeqMax: max,
      violations,
      latency: this.#latency.summary(),
    };
  }

  /** Resolves when every subscriber has received the message with number `seq`. */
  reached(seq: number): Promise<void> {
    const waiting = this.#subscribers.filter(({ arrivals }) => arrivals.lastSeq < seq);
    if (waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#target = { seq, left: waiting.length, resolve };
      for (const subscriber of waiting) subscriber.onRead = () => this.#noteProgress(subscriber);
    });
  }

  pause(): void {
    for (const subscriber of this.#subscribers) subscriber.pause();
  }

  resume(): void {
    for (const subscriber of this.#subscribers) subscriber.resume();
  }

  close(): void {
    for (const subscriber of this.#subscribers) subscriber.close();
  }

  #makeSubscriber(index: number): Subscriber {
    const { port, wire, path, payloadBytes, ordered, resume, sampleEvery, channels, session } = this.#plan;
    const place = resume?.[index % resume.length];
    return new Subscriber({
      port,
      localAddress: `127.0.0.${2 + (index % sourceAddresses)}`,
      handshake: handshakeOf(
        wire,
        {
          host: `127.0.0.1:${port}`,
          path: place?.path ?? path,
          clientName: `${this.#clientPrefix}${index}`,
          token: this.#plan.token,
          session,
        },
        channelsOf(index, channels),
      ),
      arrivals: {
        payloadBytes,
        ordered,
        afterSeq: place?.afterSeq,
        latency: this.#latency,
        sampleEvery,
        sampleAt: index % sampleEvery,
      },
    });
  }

  #noteProgress(subscriber: Subscriber): void {
    const target = this.#target;
    if (target === undefined || subscriber.arrivals.lastSeq < target.seq) return;
    subscriber.onRead = undefined;
    if (--target.left === 0) target.resolve();
  }

  #total(): number {
    return this.#subscribers.reduce((sum, { arrivals }) => sum + arrivals.count, 0);
  }
}

function channelsOf(index: number, channels: GroupPlan['channels']): readonly string[] {
  if (channels === undefined) return [];
  const firstChannel = index * channels.perConnection;
  const count = Math.min(channels.perConnection, channels.total - firstChannel);
  return Array.from({ length: count }, (_, i) => `${channels.prefix}${firstChannel + i}`);
}
