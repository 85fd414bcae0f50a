import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import type { Batch, WireFormat } from '../core/batch.ts';
import type { Clock } from '../core/clock.ts';
import type { CloseReason, Host, Notice, Sink, Subscription } from '../core/transport.ts';
import { Heartbeats, type Quiet } from './heartbeats.ts';
import { streamHead, type StreamStart } from './stream-head.ts';
import type { StreamWire } from './stream-wire.ts';
import { takeOver } from './take-over.ts';

/** What a response reads from: a session with one subscription, or several merged. */
export interface StreamSource {
  drained(): void;
  end(how: 'left' | 'lost'): void;
}

/** Where a reader of the source stands. */
export interface StreamPlace {
  readonly cursor: string;
  readonly isLive: boolean;
}

/** What all responses of one transport share. */
export class StreamedResponses {
  readonly transport: string;
  readonly wire: StreamWire;
  readonly host: Host;
  readonly heartbeats: Heartbeats;
  readonly heldFromBytes: number;
  readonly #open = new Set<StreamedResponse>();
  #onEmpty: (() => void) | undefined;

  constructor(transport: string, wire: StreamWire, host: Host) {
    this.transport = transport;
    this.wire = wire;
    this.host = host;
    this.heartbeats = new Heartbeats(host.clock, host.limits.heartbeatEveryMs);
    this.heldFromBytes = host.limits.outboundHeldFromBytes;
    this.heartbeats.start();
  }

  get clock(): Clock {
    return this.host.clock;
  }

  /** With up to half as much again, so that peers that lost the same server do not all come back at once. */
  get retryMs(): number {
    const { retryAfterMs } = this.host.limits;
    return retryAfterMs + Math.floor((retryAfterMs * Number.parseInt(this.host.random.hex(1), 16)) / 512);
  }

  add(response: StreamedResponse): void {
    this.#open.add(response);
    this.heartbeats.add(response);
  }

  remove(response: StreamedResponse): void {
    this.#open.delete(response);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Says goodbye to everyone; resolves when all are gone, having cut those who remain at the deadline. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.heartbeats.stop();
    const gone = new Promise<void>((resolve) => {
      if (this.#open.size === 0) resolve();
      else this.#onEmpty = resolve;
    });
    const cut = (): void => {
      for (const response of [...this.#open]) response.cut();
    };
    for (const response of [...this.#open]) response.sayGoodbye(this.retryMs);
    if (deadline.aborted) cut();
    else deadline.addEventListener('abort', cut, { once: true });
    await gone;
    deadline.removeEventListener('abort', cut);
  }
}

const owner = Symbol('streamed response');
type OwnedSocket = Socket & { [owner]?: StreamedResponse };

// One function per event for all connections: what differs hangs on the socket.
function onDrain(this: OwnedSocket): void {
  this[owner]?.drained();
}
function onGone(this: OwnedSocket): void {
  this[owner]?.cut();
}

/**
 * An endless HTTP response: the sink of a session, or the target of several. It keeps the socket and nothing of the
 * HTTP exchange; the body ends when the connection does, so that one Buffer can go to every socket without framing.
 */
export class StreamedResponse implements Sink, Quiet {
  readonly #shared: StreamedResponses;
  readonly #format: WireFormat;
  #socket: OwnedSocket | undefined;
  #source: StreamSource | undefined;
  #place: StreamPlace | undefined;
  #beginWith: ((subscription: Subscription) => void) | undefined;
  #isHeld = false;
  #isClosed = false;
  wroteAtTick = 0;

  constructor(shared: StreamedResponses, isEnveloped: boolean) {
    this.#shared = shared;
    this.#format = shared.wire.format(isEnveloped);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends `source` when the connection ends, also when that happened before. */
  readFrom(source: StreamSource): void {
    this.#source = source;
    if (this.#isClosed) source.end('lost');
  }

  /** How to begin, should the first delivery come before the subscriber is told that it follows. */
  beginAtFirst(begin: (subscription: Subscription) => void): void {
    this.#beginWith = begin;
  }

  /** Takes the connection over and writes the head and the first bytes. */
  begin(reply: FastifyReply, place: StreamPlace, start: StreamStart): void {
    this.#beginWith = undefined;
    if (this.#socket !== undefined) return;
    reply.hijack();
    if (this.#isClosed) return;
    const shared = this.#shared;
    const socket: OwnedSocket = takeOver(reply.request.raw, reply.raw);
    socket[owner] = this;
    this.#socket = socket;
    this.#place = place;
    // A peer that only closes its sending half is gone for good as well: there is nothing it could still say.
    socket.on('drain', onDrain).on('close', onGone).on('end', onGone).on('error', onGone);
    if (socket.destroyed || socket.readableEnded) {
      this.cut();
      return;
    }
    socket.resume();
    const { wire } = shared;
    const gaps = start.gaps.map((gap) => wire.gap(gap)).join('');
    const first = wire.begin({ cursor: start.cursor, retryMs: shared.retryMs });
    socket.write(streamHead(wire, start) + first + gaps);
    shared.add(this);
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    this.#beginWith?.(subscription);
    return this.write(batch);
  }

  write(batch: Batch): boolean {
    if (this.#isClosed) return true;
    const socket = this.#socket!;
    const shared = this.#shared;
    this.wroteAtTick = shared.heartbeats.tick;
    socket.write(batch.as(this.#format).bytes);
    if (socket.writableLength <= shared.heldFromBytes) return true;
    this.#isHeld = true;
    return false;
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        this.#write(this.#shared.wire.gap(notice.gap));
        break;
      case 'ended':
        if (notice.error === undefined) this.#finish('');
        else this.#finish(this.#shared.wire.failure(notice.error));
        break;
      case 'goaway':
        this.sayGoodbye(notice.retryAfterMs);
        break;
    }
  }

  close(reason: CloseReason): void {
    this.#finish(this.#shared.wire.failure(reason.error));
  }

  sayGoodbye(retryAfterMs: number): void {
    this.#finish(this.#shared.wire.goodbye(retryAfterMs));
  }

  beat(): void {
    // A peer that does not take what was written needs no sign of life from us.
    if (this.#isHeld) return;
    const place = this.#place!;
    this.#write(this.#shared.wire.heartbeat(place.isLive ? place.cursor : undefined));
  }

  drained(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#source?.drained();
  }

  /** The connection is gone, or is made to be. */
  cut(): void {
    const socket = this.#socket;
    this.#release();
    socket?.destroy();
    this.#socket = undefined;
  }

  #write(text: string): void {
    if (this.#isClosed) return;
    this.wroteAtTick = this.#shared.heartbeats.tick;
    this.#socket?.write(text);
  }

  /** The source is let go at once; the connection is counted until its last bytes are out. */
  #finish(text: string): void {
    const socket = this.#socket;
    const source = this.#source;
    this.#source = undefined;
    source?.end('left');
    if (socket === undefined || socket.writableEnded) return;
    socket.end(text);
    // Who does not read its last bytes would keep the connection for ever.
    const cut = this.#shared.clock.after(this.#shared.host.limits.closeTimeoutMs, () => this.cut());
    socket.once('close', () => cut.cancel());
    // `allowHalfOpen` is how Node's HTTP server sets its sockets up, so our end alone would not close it.
    socket.once('finish', () => socket.destroySoon());
  }

  #release(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#shared.remove(this);
    this.#source?.end('lost');
    this.#source = undefined;
    this.#place = undefined;
  }
}
