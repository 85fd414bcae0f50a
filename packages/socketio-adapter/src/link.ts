import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { adapterLimits, type CheckedOptions } from './options.ts';
import { fitsCommand, metaHeader, type Envelope, type Publication } from './packets.ts';
import { currentToken, refreshInMs } from './token.ts';

/** A publish that the server said no to, for good, or that there is no room to wait for. */
export class PublishRefused extends Error {
  override readonly name = 'PublishRefused';
}

export interface LinkEvents {
  /** In the one order of the log, each once. */
  message(message: Envelope): void;
  /** The connection is there, and everything up to now is being read. */
  ready(): void;
}

interface Pending {
  /** The whole command; the same bytes each time it is sent, with the same key. */
  readonly frame: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

type Frame =
  | ({ readonly op: 'message' } & Envelope)
  | {
      readonly op: 'gap' | 'ended';
      readonly channel: string;
      readonly reason?: string;
      readonly cursor?: string;
    }
  | { readonly op: 'goaway'; readonly retryAfterMs: number }
  | {
      readonly op?: undefined;
      readonly id?: string | number;
      readonly ok: boolean;
      readonly cursor?: string;
      readonly continuity?: 'exact' | 'gap';
      readonly error?: { readonly code: string; readonly message: string };
    };

/** Refusals that say nothing about the message: it is published later, under the same key. */
const passing = new Set([
  'rate_limited',
  'store_full',
  'store_unavailable',
  'going_away',
  'internal',
  'timed_out',
]);
const retryMs = 500;
const tooBigCode = 1009;
const protocol = 'everywire.v1';

/**
 * One WebSocket to Everywire, for all namespaces of an application. What is published waits here until it is answered and
 * is repeated under its key after a cut; what is read goes on after the last message.
 */
export class Link {
  readonly #options: CheckedOptions;
  readonly #filter: string;
  readonly #events: LinkEvents;
  readonly #pending = new Map<number, Pending>();
  #pendingBytes = 0;
  #nextId = 1;
  #socket: WebSocket | undefined;
  #isReady = false;
  /** Its token is being asked for. */
  #isConnecting = false;
  #isClosed = false;
  #position: string | undefined;
  #attempts = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #pulse: NodeJS.Timeout | undefined;
  #heardSincePulse = true;
  #whenIdle: (() => void)[] = [];

  constructor(options: CheckedOptions, filter: string, events: LinkEvents) {
    this.#options = options;
    this.#filter = filter;
    this.#events = events;
  }

  /** Cursor of the last message that was handed on; `undefined` before the first connection. */
  get position(): string | undefined {
    return this.#position;
  }

  open(): void {
    const isUnderWay = this.#isConnecting || this.#socket !== undefined || this.#retryTimer !== undefined;
    if (!isUnderWay && !this.#isClosed) void this.#connect();
  }

  /**
   * Publishes once, however often the connection is lost in between. Resolves when the message is stored.
   * @throws PublishRefused (as a rejection)
   */
  publish(channel: string, publication: Publication, ttlMs?: number): Promise<void> {
    const frame = commandOf(this.#nextId, channel, publication, ttlMs);
    const isFull =
      this.#pending.size >= adapterLimits.pendingMax ||
      this.#pendingBytes + frame.length > adapterLimits.pendingBytesMax;
    if (this.#isClosed) return Promise.reject(new PublishRefused('The adapter is closed.'));
    if (isFull) return Promise.reject(new PublishRefused('Too much waits for the Everywire server.'));
    const id = this.#nextId;
    this.#nextId += 1;
    this.#pendingBytes += frame.length;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { frame, resolve, reject });
      if (this.#isReady) this.#socket!.send(frame);
    });
  }

  /** Publishes if the server is there, and forgets about it otherwise. */
  publishIfReady(channel: string, publication: Publication, ttlMs?: number): Promise<void> {
    return this.#isReady ? this.publish(channel, publication, ttlMs) : Promise.resolve();
  }

  /** Waits for answers to what is published, but not for long; what is not answered then is given up. */
  async close(): Promise<void> {
    const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    this.#tellIfIdle();
    const timeout = new AbortController();
    const late = sleep(adapterLimits.closeTimeoutMs, undefined, { signal: timeout.signal }).catch(
      () => undefined,
    );
    await Promise.race([idle, late]);
    timeout.abort();
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    this.#leave();
    for (const id of [...this.#pending.keys()])
      this.#settle(id, new PublishRefused('The adapter was closed before the answer came.'));
  }

  async #connect(): Promise<void> {
    this.#retryTimer = undefined;
    this.#isConnecting = true;
    let token: string | undefined;
    try {
      token = await currentToken(this.#options.token);
    } catch (cause) {
      this.#comeBack('there is no token', { cause });
      return;
    } finally {
      this.#isConnecting = false;
    }
    if (!this.#isClosed) this.#connectWith(token);
  }

  #connectWith(token: string | undefined): void {
    const { url } = this.#options;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, { protocols: [protocol], headers });
    this.#socket = socket;
    this.#heardSincePulse = true;
    const tooLate = setTimeout(() => {
      this.#lost(socket, 'the connection was not made in time');
    }, adapterLimits.connectTimeoutMs);
    socket.onopen = () => {
      clearTimeout(tooLate);
      this.#refreshBefore(socket, token);
      this.#begin(socket);
    };
    socket.onmessage = ({ data }) => {
      this.#heardSincePulse = true;
      if (typeof data === 'string') this.#receive(socket, JSON.parse(data) as Frame);
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(tooLate);
      if (code === tooBigCode && socket === this.#socket) this.#giveUpLargest();
      this.#lost(socket, `the connection ended with ${code} ${reason}`);
    };
  }

  /** Reads first, then publishes: one's own messages come back like all others, and none may be missed. */
  #begin(socket: WebSocket): void {
    const from = this.#position === undefined ? { since: 'latest' } : { after: this.#position };
    socket.send(JSON.stringify({ id: 'subscribe', op: 'subscribe', channel: this.#filter, ...from }));
    this.#pulse = setInterval(() => {
      if (!this.#heardSincePulse) this.#lost(socket, 'nothing was heard in time');
      else {
        this.#heardSincePulse = false;
        socket.send('{"id":"ping","op":"ping"}');
      }
    }, adapterLimits.pingEveryMs);
  }

  /** Shows the next token before this one ends, and the connection with it. */
  #refreshBefore(socket: WebSocket, token: string | undefined): void {
    if (typeof this.#options.token !== 'function' || token === undefined) return;
    const inMs = refreshInMs(token, Date.now());
    if (inMs === undefined) return;
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(() => void this.#refresh(socket), Math.max(inMs, retryMs));
  }

  async #refresh(socket: WebSocket): Promise<void> {
    try {
      const token = (await currentToken(this.#options.token))!;
      if (socket !== this.#socket) return;
      socket.send(JSON.stringify({ id: 'auth', op: 'auth', token }));
      this.#refreshBefore(socket, token);
    } catch (cause) {
      if (socket !== this.#socket) return;
      this.#options.onProblem({ kind: 'refused', detail: 'There is no new token; trying again.', cause });
      this.#refreshTimer = setTimeout(() => void this.#refresh(socket), adapterLimits.backoffMsMax);
    }
  }

  #receive(socket: WebSocket, frame: Frame): void {
    if (socket !== this.#socket) return;
    switch (frame.op) {
      case 'message':
        this.#position = frame.cursor;
        this.#events.message(frame);
        break;
      case 'gap':
        this.#tellGap(frame.channel, frame.reason);
        break;
      case 'ended':
        this.#lost(socket, 'the subscription ended');
        break;
      case 'goaway':
        this.#lost(socket, 'the server is stopping', frame.retryAfterMs);
        break;
      case undefined:
        this.#answered(socket, frame);
        break;
    }
  }

  #answered(socket: WebSocket, answer: Extract<Frame, { op?: undefined }>): void {
    if (answer.id === 'subscribe') this.#subscribed(socket, answer);
    else if (typeof answer.id === 'number') {
      if (answer.ok) this.#settle(answer.id);
      else if (passing.has(answer.error!.code)) this.#repeatLater(socket, answer.id);
      else this.#settle(answer.id, new PublishRefused(`${answer.error!.code}: ${answer.error!.message}`));
    } else if (!answer.ok) {
      this.#options.onProblem({
        kind: 'refused',
        detail: `The server refused a command: ${answer.error!.message}`,
      });
    }
  }

  #subscribed(socket: WebSocket, answer: Extract<Frame, { op?: undefined }>): void {
    if (!answer.ok) {
      const { code, message } = answer.error!;
      // A store that was replaced may not know the place any more; what is published from now on is what is left.
      if (code === 'bad_cursor') {
        this.#position = undefined;
        this.#tellGap(this.#filter, 'the store does not know the last place');
      }
      this.#lost(socket, `the server refuses to be read from: ${code}: ${message}`);
      return;
    }
    if (answer.continuity === 'gap') this.#tellGap(this.#filter, 'found on coming back');
    this.#position ??= answer.cursor;
    this.#isReady = true;
    this.#attempts = 0;
    this.#events.ready();
    for (const { frame } of [...this.#pending.values()]) socket.send(frame);
  }

  #repeatLater(socket: WebSocket, id: number): void {
    setTimeout(() => {
      const pending = this.#pending.get(id);
      // On another connection it has been sent again already.
      if (pending !== undefined && socket === this.#socket && this.#isReady) socket.send(pending.frame);
    }, retryMs).unref();
  }

  #settle(id: number, error?: Error): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#pendingBytes -= pending.frame.length;
    if (error === undefined) pending.resolve();
    else pending.reject(error);
    this.#tellIfIdle();
  }

  /** A frame over the server's limit ends the connection; sent again it would do so for ever. The largest is over it. */
  #giveUpLargest(): void {
    let largest: number | undefined;
    for (const [id, { frame }] of this.#pending) {
      if (largest === undefined || frame.length > this.#pending.get(largest)!.frame.length) largest = id;
    }
    if (largest !== undefined)
      this.#settle(largest, new PublishRefused('too_large: The message is over the limit of the server.'));
  }

  #tellIfIdle(): void {
    if (this.#pending.size > 0) return;
    for (const tell of this.#whenIdle.splice(0)) tell();
  }

  #tellGap(channel: string, reason: string | undefined): void {
    const detail = `Messages of ${channel} are gone before they could be delivered (${reason ?? 'unknown'}).`;
    this.#options.onProblem({ kind: 'gap', detail });
  }

  #lost(socket: WebSocket, why: string, waitMs = 0): void {
    if (socket !== this.#socket) return;
    this.#leave();
    this.#comeBack(why, {}, waitMs);
  }

  #comeBack(why: string, more: { readonly cause?: unknown }, waitMs = 0): void {
    if (this.#isClosed) return;
    if (this.#attempts === 0)
      this.#options.onProblem({ kind: 'unavailable', detail: `${why}; coming back.`, ...more });
    const { backoffMsMin, backoffMsMax } = adapterLimits;
    const spreadMs = Math.min(backoffMsMax, backoffMsMin * 2 ** this.#attempts);
    this.#attempts += 1;
    // Never all processes at once.
    const delayMs = waitMs / 2 + (spreadMs + waitMs / 2) * Math.random();
    this.#retryTimer = setTimeout(() => void this.#connect(), delayMs);
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isReady = false;
    clearInterval(this.#pulse);
    clearTimeout(this.#refreshTimer);
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

function commandOf(id: number, channel: string, publication: Publication, ttlMs: number | undefined): string {
  const { payload, event, meta } = publication;
  const isJson = typeof payload === 'string';
  const body =
    isJson && fitsCommand(payload)
      ? `"data":${payload}`
      : `"base64":"${Buffer.from(payload).toString('base64')}","type":"${isJson ? 'application/json' : 'application/octet-stream'}"`;
  const fields = {
    id,
    op: 'publish',
    channel,
    key: randomUUID(),
    event,
    ttl: ttlMs === undefined ? undefined : `${ttlMs}ms`,
    headers: meta === undefined ? undefined : { [metaHeader]: meta },
  };
  return `${JSON.stringify(fields).slice(0, -1)},${body}}`;
}
