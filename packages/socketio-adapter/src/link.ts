import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  backoffMs,
  comeBackAfter,
  errorTable,
  isPassing,
  type Envelope,
  type Refusal,
} from '@everywire/protocol';
import { readFrame, writeCommand, type Accepted, type ServerFrame } from '@everywire/protocol/everywire-v1';
import { Connection } from './connection.ts';
import { adapterLimits, type CheckedOptions } from './options.ts';
import { fitsCommand, metaHeader, type Publication } from './packets.ts';
import { PendingPublishes, PublishRefused } from './pending-publishes.ts';
import { currentToken } from './token.ts';

export interface LinkEvents {
  /** In the one order of the log, each once. */
  message(message: Envelope): void;
  /** The link is connected and reads everything from now on. */
  ready(): void;
}

const repeatAfterMs = 500;
const subscribeId = 'subscribe';

/**
 * The connection of an application to Everywire, for all its namespaces. After a cut it reconnects, reads on after the last
 * message, and repeats the publishes that were not answered, under their publish ids.
 */
export class Link {
  readonly #options: CheckedOptions;
  readonly #filter: string;
  readonly #events: LinkEvents;
  readonly #pending = new PendingPublishes();
  #connection: Connection | undefined;
  #isReady = false;
  /** The token function is running. */
  #isConnecting = false;
  #isClosed = false;
  #position: string | undefined;
  /** Connection attempts that failed in a row. */
  #failures = 0;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: CheckedOptions, filter: string, events: LinkEvents) {
    this.#options = options;
    this.#filter = filter;
    this.#events = events;
  }

  /** Cursor of the last message that was received; `undefined` before the first connection. */
  get position(): string | undefined {
    return this.#position;
  }

  open(): void {
    const hasStarted = this.#isConnecting || this.#connection !== undefined || this.#retryTimer !== undefined;
    if (!hasStarted && !this.#isClosed) void this.#connect();
  }

  /**
   * Publishes once, however often the connection is lost in between. Resolves when the message is stored.
   * @throws PublishRefused (as a rejection)
   */
  async publish(channel: string, publication: Publication, ttlMs?: number): Promise<void> {
    if (this.#isClosed) throw new PublishRefused('The adapter is closed.');
    const { frame, stored } = this.#pending.add((id) => publishCommand(id, channel, publication, ttlMs));
    if (this.#isReady) this.#connection!.send(frame);
    await stored;
  }

  /** Publishes if the link is connected. Otherwise the message is dropped. */
  async publishIfReady(channel: string, publication: Publication, ttlMs?: number): Promise<void> {
    if (this.#isReady) await this.publish(channel, publication, ttlMs);
  }

  /** Waits a short time for the answers to publishes, and refuses the rest. */
  async close(): Promise<void> {
    const timeout = new AbortController();
    const late = sleep(adapterLimits.closeTimeoutMs, undefined, { signal: timeout.signal }).catch(
      () => undefined,
    );
    await Promise.race([this.#pending.whenEmpty(), late]);
    timeout.abort();
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    this.#disconnect();
    this.#pending.refuseAll(new PublishRefused('The adapter was closed before the server answered.'));
  }

  async #connect(): Promise<void> {
    this.#retryTimer = undefined;
    this.#isConnecting = true;
    let token: string | undefined;
    try {
      token = await currentToken(this.#options.token);
    } catch (cause) {
      this.#reconnectLater('the token function failed', { cause });
      return;
    } finally {
      this.#isConnecting = false;
    }
    if (this.#isClosed) return;
    this.#connection = new Connection(this.#options, token, {
      opened: () => this.#subscribe(),
      received: (text) => this.#receive(readFrame(JSON.parse(text))),
      lost: (reason, closeCode) => {
        if (closeCode === errorTable.too_large.close) this.#pending.refuseLargest();
        this.#lost(reason);
      },
    });
  }

  /** Reads first and publishes then: the link's own messages come back like all others, and it must not miss one. */
  #subscribe(): void {
    const after = this.#position;
    const since = after === undefined ? 'latest' : undefined;
    const id = JSON.stringify(subscribeId);
    this.#connection!.send(writeCommand({ op: 'subscribe', id, channel: this.#filter, after, since }));
  }

  #receive(frame: ServerFrame | undefined): void {
    switch (frame?.op) {
      case 'message':
        this.#position = frame.envelope.cursor;
        this.#events.message(frame.envelope);
        break;
      case 'gap':
        this.#reportGap(frame.notice.channel, frame.notice.reason);
        break;
      case 'ended':
        this.#lost('the subscription ended');
        break;
      case 'goaway':
        this.#lost('the server is shutting down', frame.retryAfterMs);
        break;
      case 'accepted':
        if (frame.id === subscribeId) this.#subscribed(frame);
        else if (typeof frame.id === 'number') this.#pending.settle(frame.id);
        break;
      case 'refused':
        if (frame.id === subscribeId) this.#subscriptionRefused(frame.refusal);
        else if (typeof frame.id === 'number') this.#publishRefused(frame.id, frame.refusal);
        else this.#reportRefusal(frame.refusal);
        break;
      case undefined:
        // A frame that only newer servers send.
        break;
    }
  }

  #subscribed({ cursor, continuity }: Accepted): void {
    if (continuity === 'gap') this.#reportGap(this.#filter, 'found after reconnecting');
    this.#position ??= cursor;
    this.#isReady = true;
    this.#failures = 0;
    this.#events.ready();
    for (const frame of this.#pending.frames) this.#connection!.send(frame);
  }

  #subscriptionRefused(refusal: Refusal): void {
    // A store that was replaced may not know the cursor. Later messages can still be read.
    if (comeBackAfter(endingOf(refusal)) === 'without-cursor') {
      this.#position = undefined;
      this.#reportGap(this.#filter, 'the store does not know the cursor');
    }
    this.#lost(`the server refused the subscription: ${textOf(refusal)}`, refusal.retryAfterMs);
  }

  #publishRefused(id: number, refusal: Refusal): void {
    if (isPassing(endingOf(refusal))) this.#repeatLater(id, refusal.retryAfterMs);
    else this.#pending.settle(id, new PublishRefused(textOf(refusal)));
  }

  #reportRefusal(refusal: Refusal): void {
    const detail = `The server refused a command: ${textOf(refusal)}`;
    this.#options.onProblem({ kind: 'refused', detail });
  }

  #repeatLater(id: number, afterMs = repeatAfterMs): void {
    const connection = this.#connection;
    setTimeout(() => {
      const frame = this.#pending.frameOf(id);
      // Another connection has sent it again already.
      if (frame !== undefined && connection === this.#connection && this.#isReady) connection!.send(frame);
    }, afterMs).unref();
  }

  #reportGap(channel: string, reason = 'unknown'): void {
    const detail = `Messages of ${channel} were lost before they could be delivered (${reason}).`;
    this.#options.onProblem({ kind: 'gap', detail });
  }

  #lost(reason: string, retryAfterMs = 0): void {
    this.#disconnect();
    this.#reconnectLater(reason, {}, retryAfterMs);
  }

  #reconnectLater(reason: string, more: { readonly cause?: unknown }, retryAfterMs = 0): void {
    if (this.#isClosed) return;
    if (this.#failures === 0)
      this.#options.onProblem({
        kind: 'unavailable',
        detail: `Disconnected from Everywire: ${reason}. Reconnecting.`,
        ...more,
      });
    this.#failures += 1;
    const bounds = { minMs: adapterLimits.backoffMsMin, maxMs: adapterLimits.backoffMsMax };
    const delayMs = backoffMs(this.#failures, Math.random, bounds, retryAfterMs);
    this.#retryTimer = setTimeout(() => void this.#connect(), delayMs);
  }

  #disconnect(): void {
    this.#isReady = false;
    this.#connection?.close();
    this.#connection = undefined;
  }
}

function publishCommand(id: number, channel: string, publication: Publication, ttlMs?: number): string {
  const { payload, event, meta } = publication;
  const isJson = typeof payload === 'string';
  return writeCommand({
    op: 'publish',
    id: String(id),
    channel,
    publication: {
      payload:
        isJson && fitsCommand(payload)
          ? { kind: 'json', text: payload }
          : { kind: 'base64', base64: Buffer.from(payload).toString('base64') },
      type: isJson ? 'application/json' : 'application/octet-stream',
      event,
      headers: meta === undefined ? undefined : new Map([[metaHeader, meta]]),
      key: randomUUID(),
      ttlMs,
    },
  });
}

/** A refusal without a code is final, like one with an unknown code. */
function endingOf({ code }: Refusal): { readonly code: string } {
  return { code: code ?? 'unknown' };
}

function textOf({ code, message }: Refusal): string {
  return [code, message].filter((part) => part !== undefined).join(': ');
}
