import {
  EverywireError,
  parseRetryAfterMs,
  toEverywireError,
  type From,
  gapNotice,
} from '@everywire/protocol';
import { signatureOf } from '@everywire/wires/webhook';
import type { Timer } from '../../core/clock.ts';
import type { DurableSessions } from '../../core/durable/durable-sessions.ts';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { Batch } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Progress, Subscription } from '../../core/seams/subscription-api.ts';
import type { WebhookRow } from './row.ts';
import { retryDelayMs } from './schedule.ts';
import type { Attempt, Sender } from './sender.ts';
import { deliveryOf } from './format.ts';
import type { WebhookHost } from './limits.ts';

export interface EndpointOptions {
  readonly host: WebhookHost;
  readonly sender: Sender;
  readonly retryDelaysMs: readonly number[];
  /**
   * The session with the rights that it runs by; a new one for each time it is set going.
   * @throws EverywireError `unauthorized` when they have ended
   */
  readonly openSession: (row: WebhookRow, sink: Sink) => Session;
}

/** Before a row that could not be written is written again. */
const rewriteMs = 1_000;

/**
 * One active webhook: a durable subscription whose peer is an HTTP endpoint. Each channel has at most one message on its way
 * at a time. The next one leaves when the position after it is durable, so a crash repeats at most that one.
 * While an endpoint fails, all of its channels wait, and later messages stay in the log.
 */
export class Endpoint implements Sink {
  row: WebhookRow;
  readonly #options: EndpointOptions;
  #durable: DurableSession | undefined;
  /** The position while there is no subscription. Absent before the first one. */
  #place: Progress | undefined;
  #session: Session | undefined;
  #subscription: Subscription | undefined;
  /** What the window holds, by channel, in order; the first of a channel may be on its way. */
  #waiting = new Map<string, Message[]>();
  #sending = new Set<string>();
  #retryTimer: Timer | undefined;
  /** Goes up with each stop or move: the results of earlier attempts no longer count. */
  #life = 0;
  #hasGap = false;
  #isStopping = false;
  #isDiscarded = false;
  readonly #idle: (() => void)[] = [];

  constructor(row: WebhookRow, options: EndpointOptions) {
    this.row = row;
    this.#options = options;
  }

  get state(): 'active' | 'failing' | 'paused' {
    if (this.row.paused !== undefined) return 'paused';
    return this.row.failures > 0 ? 'failing' : 'active';
  }

  /** The position up to which the endpoint confirmed all messages. */
  get cursor(): string {
    return this.#progress?.cursor ?? '';
  }

  /** Opens the durable session. @throws EverywireError `quota_exceeded`, `store_unavailable` */
  async open(sessions: DurableSessions<WebhookRow>): Promise<void> {
    const holder: DurableHolder = {
      subscriptions: () => [{ id: '', filter: this.row.filter, progress: this.#progress! }],
      state: () => this.row,
      lost: () => {
        this.discard();
        return undefined;
      },
    };
    const { id, subject } = this.row;
    const identity = { subject, isAdmin: false };
    const { session, found } = await sessions.open(id, holder, { identity, keepMs: undefined });
    this.#durable = session;
    this.#place = found?.subscriptions[0]?.progress;
  }

  /**
   * Starts it at the position in its row, or at `from`. Sends nothing before the row with this position is durable.
   * @throws EverywireError if it may not read the filter, or if the position is invalid
   */
  async start(from?: From): Promise<void> {
    this.#halt();
    this.#isStopping = false;
    const life = this.#life;
    const session = this.#options.openSession(this.row, this);
    this.#session = session;
    let subscription: Subscription;
    try {
      subscription = await session.subscribe(this.row.filter, {
        ...(from === undefined ? { progress: this.#place } : { from }),
        acknowledge: 'peer',
        windowMessages: this.#options.host.limits.webhookWindowMessages,
      });
    } catch (caught) {
      session.end();
      if (this.#session === session) this.#session = undefined;
      throw caught;
    }
    if (life !== this.#life) return;
    for (const gap of subscription.startGaps) this.#noteGap(gapNotice(gap));
    if (from !== undefined) {
      this.#place = { cursor: subscription.startCursor, acksAboveWatermark: [], deliveredWatermark: 0 };
      await this.#save({});
    }
    if (life !== this.#life) return;
    if (this.row.paused !== undefined) {
      this.#halt();
      return;
    }
    this.#subscription = subscription;
    subscription.start();
    this.#goOn();
  }

  /** As `start`; an endpoint whose channels cannot be read now is tried again by itself. */
  async startOrRetry(): Promise<void> {
    try {
      await this.start();
    } catch (caught) {
      this.#cannotStart(toEverywireError(caught));
    }
  }

  /** Sends nothing more; resolves when what was on its way has been answered and its place is stored. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#sending.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#halt();
  }

  /** The server shuts down: as `stop`, and the session is left for the next start. */
  async leave(): Promise<void> {
    await this.stop();
    await this.#durable?.leave({ soon: true });
  }

  /** Changes the row, durably, and works by it from the next message on. @throws EverywireError `store_unavailable` */
  async change(change: Partial<WebhookRow>): Promise<void> {
    const isPaused = ('paused' in change ? change.paused : this.row.paused) !== undefined;
    const isOfOthers = change.runsAs !== undefined;
    if ((isPaused || isOfOthers) && this.#session !== undefined) await this.stop();
    const before = this.row;
    this.row = { ...before, ...change };
    try {
      await this.#write();
    } catch (cause) {
      // A delivery may have changed other fields meanwhile.
      const names = Object.keys(change) as (keyof WebhookRow)[];
      this.row = { ...this.row, ...Object.fromEntries(names.map((name) => [name, before[name]])) };
      throw cause;
    }
    if (isPaused) return;
    if (this.#subscription === undefined) {
      await this.start();
      return;
    }
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#goOn();
  }

  /** Continues at another position. @throws EverywireError for an invalid position */
  async moveTo(from: From): Promise<void> {
    await this.stop();
    this.row = { ...this.row, lastGap: undefined };
    await this.start(from);
  }

  /** Ends it at once: from here on it writes nothing, so that its row can be removed. */
  discard(): void {
    this.#isDiscarded = true;
    this.#halt();
  }

  /** Removes its row. If that fails, it continues. @throws EverywireError `store_unavailable` */
  async remove(): Promise<void> {
    this.discard();
    try {
      await this.#durable!.remove();
    } catch (cause) {
      this.#isDiscarded = false;
      if (this.row.paused === undefined) void this.startOrRetry();
      throw cause;
    }
  }

  /** It could not start and was never saved. */
  giveUp(): void {
    this.discard();
    this.#durable?.removeSoon();
  }

  deliver(batch: Batch): boolean {
    for (const message of batch.messages) {
      const queue = this.#waiting.get(message.channel);
      if (queue === undefined) this.#waiting.set(message.channel, [message]);
      else queue.push(message);
    }
    this.#pump();
    return true;
  }

  notify(notice: Notice): void {
    if (notice.kind === 'gap') this.#noteGap(gapNotice(notice.gap));
    else if (notice.kind === 'ended') this.#broke(notice.error);
  }

  close({ error }: CloseReason): void {
    this.#broke(error);
  }

  get #progress(): Progress | undefined {
    return this.#subscription?.progress ?? this.#place;
  }

  /** The subscription ended without a request to stop: subscribes again at the stored position. */
  #broke(error: EverywireError | undefined): void {
    if (error !== undefined && endsRights(error)) {
      this.#pauseWithoutRights(error);
      return;
    }
    this.row = { ...this.row, lastError: error?.message ?? 'The subscription has ended.' };
    this.#halt();
    this.#retryTimer = this.#options.host.clock.after(rewriteMs, () => void this.startOrRetry());
  }

  #cannotStart(error: EverywireError): void {
    if (endsRights(error)) {
      this.#pauseWithoutRights(error);
      return;
    }
    const { log, clock } = this.#options.host;
    log.warn({ err: error, webhook: this.row.id }, 'a webhook cannot read its channels; trying again');
    const failures = this.row.failures + 1;
    this.row = { ...this.row, failures, lastError: error.message };
    const delayMs = this.#delayMs(failures, error.retryAfterMs);
    this.#retryTimer = clock.after(delayMs, () => void this.startOrRetry());
  }

  /** Pauses it and keeps its position, so that a subject with the right to read can resume it. */
  #pauseWithoutRights({ message }: EverywireError): void {
    const { id } = this.row;
    this.#options.host.log.warn({ webhook: id, reason: message }, 'a webhook was paused');
    const paused = 'unauthorized';
    this.row = { ...this.row, paused, lastError: message, nextAttemptMs: undefined };
    this.#halt();
    void this.#save({});
  }

  #halt(): void {
    this.#life += 1;
    this.#place = this.#progress;
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#session?.end();
    this.#session = undefined;
    this.#subscription = undefined;
    this.#waiting = new Map();
    this.#sending = new Set();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** After a restart an endpoint that was failing is not asked earlier than it would have been. */
  #goOn(): void {
    const { clock } = this.#options.host;
    const waitMs = (this.row.nextAttemptMs ?? 0) - clock.nowMs();
    if (waitMs <= 0) {
      this.#pump();
      return;
    }
    this.#retryTimer = clock.after(waitMs, () => {
      this.#retryTimer = undefined;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#subscription === undefined || this.#retryTimer !== undefined || this.#isStopping) return;
    const { webhooksPerHostMax } = this.#options.host.limits;
    // One that fails is asked with one message, not with one of each channel.
    const most = this.row.failures > 0 ? 1 : webhooksPerHostMax;
    for (const channel of this.#waiting.keys()) {
      if (this.#sending.size >= most) return;
      if (this.#sending.has(channel)) continue;
      this.#sending.add(channel);
      void this.#sendChannel(channel, this.#life);
    }
  }

  /** Sends one message after the other, until the channel has none left or one was not taken. */
  async #sendChannel(channel: string, life: number): Promise<void> {
    const queue = this.#waiting.get(channel)!;
    while (queue.length > 0) {
      const message = queue[0]!;
      const attempt = await this.#options.sender.post(this.#requestFor(message));
      if (life !== this.#life) break;
      if (attempt.kind === 'failed') {
        // Cut by our own stopping: that says nothing of the endpoint.
        if (this.#isStopping) break;
        await this.#failed(attempt);
        break;
      }
      queue.shift();
      this.#subscription!.ack(message.seq, true);
      this.#hasGap = false;
      await this.#save({ failures: 0, lastError: undefined, nextAttemptMs: undefined });
      if (life !== this.#life || this.#retryTimer !== undefined || this.#isStopping) break;
    }
    this.#leave(channel, life);
  }

  #leave(channel: string, life: number): void {
    if (life === this.#life) {
      this.#sending.delete(channel);
      if (this.#waiting.get(channel)?.length === 0) this.#waiting.delete(channel);
      this.#pump();
    }
    if (this.#sending.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #failed(attempt: Attempt & { readonly kind: 'failed' }): Promise<void> {
    const { clock } = this.#options.host;
    const nowMs = clock.nowMs();
    const failures = this.row.failures + 1;
    if (attempt.status === 410) {
      const life = this.#life;
      await this.#save({
        failures,
        lastError: '410: the receiver is gone',
        paused: 'gone',
        nextAttemptMs: undefined,
      });
      if (life === this.#life) this.#halt();
      return;
    }
    const delayMs = this.#delayMs(failures, parseRetryAfterMs(attempt.retryAfter, nowMs));
    this.#retryTimer?.cancel();
    this.#retryTimer = clock.after(delayMs, () => {
      this.#retryTimer = undefined;
      this.#pump();
    });
    await this.#save({ failures, lastError: attempt.reason, nextAttemptMs: nowMs + delayMs });
  }

  #requestFor(message: Message): Parameters<Sender['post']>[0] {
    const { row } = this;
    const { headers, body } = deliveryOf(message, row.format);
    const nowMs = this.#options.host.clock.nowMs();
    return {
      url: new URL(row.url),
      headers: {
        ...headers,
        ...signedHeaders(row, message.id, nowMs, body),
        'Everywire-Webhook': row.id,
        ...(this.#hasGap ? { 'Everywire-Continuity': 'gap' } : {}),
      },
      body,
    };
  }

  #noteGap(lastGap: object): void {
    this.#hasGap = true;
    this.row = { ...this.row, lastGap };
  }

  /** Resolves when the row is durable, however long the store is away: the next message must not leave before. */
  async #save(change: Partial<WebhookRow>): Promise<void> {
    this.row = { ...this.row, ...change };
    const life = this.#life;
    const { clock, log } = this.#options.host;
    for (;;) {
      try {
        await this.#write();
        return;
      } catch (caught) {
        if (this.#isDiscarded || !this.#durable!.isOpen) return;
        log.warn(
          { err: caught, webhook: this.row.id },
          'the place of a webhook could not be stored; trying again',
        );
        await new Promise<void>((resolve) => clock.after(rewriteMs, resolve));
        if (life !== this.#life) return;
      }
    }
  }

  async #write(): Promise<void> {
    if (this.#isDiscarded) throw new EverywireError('not_found', 'The webhook does not exist.');
    await this.#durable!.save();
  }

  #delayMs(failures: number, askedMs: number | undefined): number {
    const { retryDelaysMs, host } = this.#options;
    const chance = Number.parseInt(host.random.hex(2), 16) / 0xffff;
    return retryDelayMs(retryDelaysMs, { failures, chance, askedMs });
  }
}

/** Trying again does not bring rights back. */
function endsRights({ code }: EverywireError): boolean {
  return code === 'unauthorized' || code === 'forbidden';
}

/** The three fields of Standard Webhooks. */
export function signedHeaders(
  row: WebhookRow,
  id: string,
  nowMs: number,
  body: Buffer,
): Record<string, string> {
  const timestampSeconds = Math.floor(nowMs / 1_000);
  const isRotating = row.rotationEndsMs !== undefined && nowMs < row.rotationEndsMs;
  const secrets = isRotating ? row.secrets : row.secrets.slice(0, 1);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatureOf({ id, timestampSeconds, body }, secrets),
  };
}
