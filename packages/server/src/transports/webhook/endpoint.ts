import {
  EverywireError,
  parseRetryAfterMs,
  toEverywireError,
  formatCursor,
  parseCursor,
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
import { ParkedChannels, type ParkedChannel, type ParkedRow } from './parked-channels.ts';
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
   * Opens a session with the rights of the webhook, at each start.
   * @throws EverywireError `unauthorized` if the rights have ended
   */
  readonly openSession: (row: WebhookRow, sink: Sink) => Session;
}

/** The wait before a failed write of the row is repeated. */
const rewriteMs = 1_000;
/** How many messages of a parked channel are read at once. */
const parkedPageMessages = 16;

/**
 * One active webhook: a durable subscription whose peer is an HTTP endpoint. Each channel has at most one message on its way
 * at a time. The next one leaves when the position after it is durable, so a crash repeats at most that one.
 * A channel whose message fails is set aside with its own position, and the others continue. Only while the endpoint as a whole
 * fails, all of them wait. Later messages stay in the log.
 */
export class Endpoint implements Sink {
  row: WebhookRow;
  readonly #options: EndpointOptions;
  #durable: DurableSession | undefined;
  /** The position while there is no subscription. Absent before the first one. */
  #place: Progress | undefined;
  #session: Session | undefined;
  #subscription: Subscription | undefined;
  /** The messages in the window, by channel, in order; the first one of a channel may be on its way. */
  #waiting = new Map<string, Message[]>();
  #sending = new Set<string>();
  #retryTimer: Timer | undefined;
  readonly #parked: ParkedChannels;
  /** Channels that failed in a row, with no success between them. */
  #failedInARow = 0;
  /** All channels wait, because the endpoint itself fails. */
  #isDown = false;
  /** Goes up with each stop or move: the results of earlier attempts no longer count. */
  #life = 0;
  #hasGap = false;
  #isStopping = false;
  #isDiscarded = false;
  readonly #idle: (() => void)[] = [];

  constructor(row: WebhookRow, options: EndpointOptions) {
    this.row = row;
    this.#options = options;
    this.#parked = new ParkedChannels(row.parked ?? [], options.host.clock, () => this.#pump());
  }

  get state(): 'active' | 'failing' | 'paused' {
    if (this.row.paused !== undefined) return 'paused';
    return this.row.failures > 0 || this.#parked.size > 0 ? 'failing' : 'active';
  }

  /** When the oldest message was published that waits here or keeps a channel aside; those behind the window are younger. */
  get oldestWaitingMs(): number | undefined {
    if (this.row.paused !== undefined) return undefined;
    let oldestMs = Infinity;
    for (const [message] of this.#waiting.values())
      oldestMs = Math.min(oldestMs, message?.timeMs ?? Infinity);
    for (const { messageMs = Infinity } of this.#parked.rows) oldestMs = Math.min(oldestMs, messageMs);
    return oldestMs === Infinity ? undefined : oldestMs;
  }

  /** The position up to which the endpoint confirmed all messages. */
  get cursor(): string {
    const cursors = [this.place, ...this.parked.map(({ cursor }) => cursor)];
    return cursors.reduce((left, right) => (seqOf(right) < seqOf(left) ? right : left));
  }

  /** The same for all channels that are not parked. */
  get place(): string {
    return this.#progress?.cursor ?? '';
  }

  get parked(): readonly ParkedRow[] {
    return this.#parked.rows;
  }

  /** Opens the durable session. @throws EverywireError `quota_exceeded`, `store_unavailable` */
  async open(sessions: DurableSessions<WebhookRow>): Promise<void> {
    const holder: DurableHolder = {
      subscriptions: () => [{ id: '', filter: this.row.filter, progress: this.#progress! }],
      state: () => ({ ...this.row, parked: this.#parked.size === 0 ? undefined : this.parked }),
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
    this.#parked.start();
    subscription.start();
    this.#resume();
  }

  /** Like `start`, but if the channels cannot be read now, the endpoint tries again by itself. */
  async startOrRetry(): Promise<void> {
    try {
      await this.start();
    } catch (caught) {
      this.#cannotStart(toEverywireError(caught));
    }
  }

  /** Sends nothing more; resolves when the running attempts are answered and the position is stored. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#sending.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#halt();
  }

  /** The server shuts down: like `stop`, but the session stays for the next start. */
  async leave(): Promise<void> {
    await this.stop();
    await this.#durable?.leave({ soon: true });
  }

  /** Stores a change of the row, which applies from the next message on. @throws EverywireError `store_unavailable` */
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
    this.#parked.retryNow();
    if (this.#subscription === undefined) {
      await this.start();
      return;
    }
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#resume();
  }

  /** Continues at another position. @throws EverywireError for an invalid position */
  async moveTo(from: From): Promise<void> {
    await this.stop();
    this.row = { ...this.row, lastGap: undefined };
    this.#parked.clear();
    await this.start(from);
  }

  /**
   * Skips the message that keeps a channel parked.
   * @throws EverywireError `not_found` if the channel is not parked, `store_unavailable`
   */
  async skip(channel: string): Promise<void> {
    const parked = this.#parked.get(channel);
    if (parked === undefined) throw new EverywireError('not_found', 'This channel is not set aside.');
    parked.offset += 1;
    parked.failures = 0;
    parked.lastError = undefined;
    this.#parked.retryAt(parked, undefined);
    await this.#write();
    this.#pump();
  }

  /** Ends it at once. From here on it writes nothing, so that its row can be removed. */
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
    const aside: number[] = [];
    for (const message of batch.messages) {
      const parked = this.#parked.get(message.channel);
      if (parked !== undefined) {
        parked.throughSeq = message.seq;
        aside.push(message.seq);
        continue;
      }
      const queue = this.#waiting.get(message.channel);
      if (queue === undefined) this.#waiting.set(message.channel, [message]);
      else queue.push(message);
    }
    if (aside.length > 0) this.#ackSoon(aside);
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
    this.#parked.stop();
    this.#session?.end();
    this.#session = undefined;
    this.#subscription = undefined;
    this.#waiting = new Map();
    this.#sending = new Set();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** After a restart, a failing endpoint keeps the time of its next attempt. */
  #resume(): void {
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
    // A failing endpoint gets one message, not one of each channel.
    const isProbing = this.row.failures > 0;
    const most = isProbing ? 1 : webhooksPerHostMax;
    // A probe uses a message of another channel, if one exists. Parked channels leave one attempt free for the others.
    if (!isProbing) this.#pumpParked(Math.max(1, most - 1));
    for (const channel of this.#waiting.keys()) {
      if (this.#sending.size >= most) return;
      if (this.#sending.has(channel)) continue;
      this.#sending.add(channel);
      void this.#sendChannel(channel, this.#life);
    }
    if (isProbing) this.#pumpParked(most);
  }

  #pumpParked(most: number): void {
    for (const parked of this.#parked.due) {
      if (this.#sending.size >= most) return;
      if (this.#sending.has(parked.channel)) continue;
      this.#sending.add(parked.channel);
      parked.isDue = false;
      void this.#sendParked(parked, this.#life);
    }
  }

  /** Sends one message after the other, until the channel is empty or an attempt fails. */
  async #sendChannel(channel: string, life: number): Promise<void> {
    const queue = this.#waiting.get(channel)!;
    while (queue.length > 0) {
      const message = queue[0]!;
      const attempt = await this.#options.sender.post(this.#requestFor(message));
      if (life !== this.#life) break;
      if (attempt.kind === 'failed') {
        // The server itself cut the attempt, so the endpoint did not fail.
        if (this.#isStopping) break;
        await this.#failed(message, attempt);
        break;
      }
      queue.shift();
      this.#subscription!.ack(message.seq, true);
      await this.#succeeded();
      if (life !== this.#life || this.#retryTimer !== undefined || this.#isStopping) break;
    }
    this.#leave(channel, life);
  }

  /** Delivers a parked channel until it has caught up with the others or fails again. */
  async #sendParked(parked: ParkedChannel, life: number): Promise<void> {
    try {
      for (;;) {
        const message = await this.#nextOf(parked);
        if (life !== this.#life || this.#isStopping) break;
        if (message === undefined) {
          this.#parked.remove(parked.channel);
          await this.#save({});
          break;
        }
        const attempt = await this.#options.sender.post(this.#requestFor(message));
        if (life !== this.#life) break;
        const isSkipped = parked.offset > message.offset;
        if (attempt.kind === 'failed' && !isSkipped) {
          if (!this.#mustStop()) await this.#failed(message, attempt, parked);
          break;
        }
        parked.cursor = message.cursor;
        parked.offset = message.offset + 1;
        parked.failures = 0;
        parked.lastError = undefined;
        parked.nextAttemptMs = undefined;
        const hasCaughtUp = message.seq >= parked.throughSeq;
        if (hasCaughtUp) this.#parked.remove(parked.channel);
        await this.#succeeded();
        if (hasCaughtUp || life !== this.#life || this.#mustStop()) break;
        parked.isDue = this.#retryTimer !== undefined;
        if (parked.isDue) break;
      }
    } catch (caught) {
      if (life === this.#life) this.#cannotRead(parked, toEverywireError(caught));
    }
    this.#leave(parked.channel, life);
  }

  /** The next message of a parked channel; `undefined`: the subscription delivers the following ones. */
  async #nextOf(parked: ParkedChannel): Promise<Message | undefined> {
    for (;;) {
      const { throughSeq } = parked;
      const page = await this.#session!.read(parked.channel, { after: parked.cursor }, parkedPageMessages);
      const gap = page.gaps.at(-1);
      if (gap !== undefined) {
        this.#noteGap(gapNotice(gap));
        parked.offset = 0;
        // Positions of another epoch cannot be compared; the subscription has met the same gap.
        if (gap.next.epoch !== parseCursor(parked.cursor)?.epoch) return undefined;
      }
      const wanted = page.messages.filter(({ offset }) => offset >= parked.offset);
      const [first] = wanted;
      if (first !== undefined && first.seq <= throughSeq) return first;
      const isAtEnd = first !== undefined || !page.more;
      // Unless the subscription has left out more messages meanwhile.
      if (isAtEnd && parked.throughSeq === throughSeq) return undefined;
      if (!isAtEnd) parked.cursor = formatCursor(page.through);
      if (this.#session === undefined) return undefined;
    }
  }

  #cannotRead(parked: ParkedChannel, error: EverywireError): void {
    if (endsRights(error)) {
      this.#pauseWithoutRights(error);
      return;
    }
    parked.lastError = error.message;
    this.#parked.retryAt(parked, this.#options.host.clock.nowMs() + (error.retryAfterMs ?? rewriteMs));
  }

  async #succeeded(): Promise<void> {
    this.#hasGap = false;
    this.#failedInARow = 0;
    // The endpoint is back: a delay for an outage says nothing about these messages.
    if (this.#isDown) this.#parked.retryNow();
    this.#isDown = false;
    await this.#save({ failures: 0, lastError: undefined, nextAttemptMs: undefined });
  }

  /** In a later turn, because the subscription is delivering these messages now. */
  #ackSoon(seqs: readonly number[]): void {
    const life = this.#life;
    this.#options.host.clock.turn(() => {
      if (life === this.#life) for (const seq of seqs) this.#subscription?.ack(seq, true);
    });
  }

  #leave(channel: string, life: number): void {
    if (life === this.#life) {
      this.#sending.delete(channel);
      if (this.#waiting.get(channel)?.length === 0) this.#waiting.delete(channel);
      this.#pump();
    }
    if (this.#sending.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** `again`: the channel was parked before. */
  async #failed(
    message: Message,
    attempt: Attempt & { readonly kind: 'failed' },
    again?: ParkedChannel,
  ): Promise<void> {
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
    const { status, reason } = attempt;
    const askedMs = parseRetryAfterMs(attempt.retryAfter, nowMs);
    // Without a connection, the fault is not in the message.
    const isUnreachable = status === undefined && attempt.wasConnected !== true;
    const parked = again ?? (isUnreachable ? undefined : this.#park(message));
    if (parked !== undefined) {
      parked.offset = message.offset;
      parked.messageMs = message.timeMs;
      parked.failures += 1;
      parked.lastError = reason;
      this.#parked.retryAt(parked, nowMs + this.#delayMs(parked.failures, askedMs));
    }
    if (again === undefined) this.#failedInARow += 1;
    const isManyInARow = this.#failedInARow >= this.#options.host.limits.webhooksPerHostMax;
    // 429 and 503 ask the whole server to wait, not one channel.
    const isOverloaded = status === 429 || status === 503;
    if (parked !== undefined && !isOverloaded && !isUnreachable && !isManyInARow) {
      await this.#save({});
      return;
    }
    this.#isDown = !isOverloaded;
    const delayMs = this.#delayMs(failures, askedMs);
    this.#retryTimer?.cancel();
    this.#retryTimer = clock.after(delayMs, () => {
      this.#retryTimer = undefined;
      this.#pump();
    });
    await this.#save({ failures, lastError: attempt.reason, nextAttemptMs: nowMs + delayMs });
  }

  /** Parks a channel with its own position; `undefined`: the limit of parked channels is reached. */
  #park({ channel, offset, seq }: Message): ParkedChannel | undefined {
    if (this.#parked.size >= this.#options.host.limits.webhookParkedMax) return undefined;
    const queue = this.#waiting.get(channel) ?? [];
    const parked = this.#parked.add({
      channel,
      cursor: this.place,
      offset,
      throughSeq: queue.at(-1)?.seq ?? seq,
      failures: 0,
    });
    this.#waiting.delete(channel);
    for (const message of queue) this.#subscription?.ack(message.seq, true);
    return parked;
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

  /** A method, since the compiler cannot see that this changes while an attempt is awaited. */
  #mustStop(): boolean {
    return this.#isStopping;
  }

  /** Resolves when the row is durable, also after a long failure of the store: the next message must not leave before. */
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

/** The seq of a cursor; for an empty one, a seq below all others. */
function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? -1;
}

/** Whether the error means that the rights have ended, so that a retry is useless. */
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
