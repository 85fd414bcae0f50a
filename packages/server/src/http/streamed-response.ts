import type { FastifyReply } from 'fastify';
import { parseCursor } from '@everywire/protocol';
import { EverywireError } from '@everywire/protocol';
import type { Batch, WireFormat } from '../core/log/batch.ts';
import type { Clock } from '../core/clock.ts';
import type { CloseReason, Notice, Sink } from '../core/seams/sink.ts';
import type { Host } from '../core/seams/transport.ts';
import { Heartbeats, type Quiet } from './heartbeats.ts';
import { cutBody, endBody, openBody, type OpenBody } from './open-body.ts';
import { streamFields, type StreamStart } from './stream-head.ts';
import type { StreamWire } from './stream-wire.ts';
import type { HttpLimits } from './limits.ts';
import { spreadMs } from '../core/spread.ts';
import { cutAt } from '../net/drain.ts';
import { Outbound } from '../net/outbound.ts';

/** The source of a response: its session. */
export interface StreamSource {
  drained(): void;
  end(): void;
}

/** The cursor of a reader of the source. */
export interface StreamPlace {
  readonly cursor: string;
  readonly isLive: boolean;
}

/** The shared state of all responses of one transport. */
export class StreamedResponses {
  readonly transport: string;
  readonly wire: StreamWire;
  readonly host: Host<HttpLimits>;
  readonly heartbeats: Heartbeats;
  readonly heldFromBytes: number;
  readonly #open = new Set<StreamedResponse>();
  #onEmpty: (() => void) | undefined;

  constructor(transport: string, wire: StreamWire, host: Host<HttpLimits>) {
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

  /** Adds up to half as much again, so that peers that lost the same server do not all come back at once. */
  get retryMs(): number {
    return spreadMs(this.host.limits.retryAfterMs, this.host.random, 0.5);
  }

  add(response: StreamedResponse): void {
    this.#open.add(response);
    this.heartbeats.add(response);
  }

  remove(response: StreamedResponse): void {
    this.#open.delete(response);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Resolves when all are closed; cuts the rest at the deadline. The hub has sent goaway to their sessions. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.heartbeats.stop();
    const gone = new Promise<void>((resolve) => {
      if (this.#open.size === 0) resolve();
      else this.#onEmpty = resolve;
    });
    await cutAt(deadline, {
      gone,
      cut: () => {
        for (const response of [...this.#open]) response.cut();
      },
    });
  }
}

/**
 * A quiet reader gets a new cursor each time the store has advanced by this many messages: long before the store drops
 * the data to check the old cursor, and rarely enough for readers that take it for a message.
 */
const positionEverySeqs = 10_000;

function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}

const owner = Symbol('streamed response');
type OwnedBody = OpenBody & { [owner]?: StreamedResponse };

const listeners = { onDrain, onHalfClosed, onGone };

function onDrain(this: OwnedBody): void {
  this[owner]?.drained();
}
function onHalfClosed(this: OwnedBody): void {
  this[owner]?.end();
}
function onGone(this: OwnedBody): void {
  this[owner]?.cut();
}

/**
 * An endless HTTP response: the sink of a session. It keeps only the body of the HTTP exchange. The body needs no
 * framing per peer, so one Buffer can go to every peer.
 */
export class StreamedResponse implements Sink, Quiet {
  readonly #shared: StreamedResponses;
  readonly #format: WireFormat;
  #body: OwnedBody | undefined;
  #source: StreamSource | undefined;
  #place: StreamPlace | undefined;
  /** Made when it first has too much unsent. */
  #outbound: Outbound | undefined;
  #isClosed = false;
  /** The seq of the last cursor that the peer got without a message; later messages carry newer cursors. */
  #knownSeq = 0;
  /** `end` was called; the connection may still be open. */
  #isOver = false;
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
    if (this.#isClosed) source.end();
  }

  /**
   * Takes over the connection and writes the head and the first bytes, before the source starts.
   * @throws EverywireError `going_away` if the session ended or the server drains; then no byte was written
   */
  begin(reply: FastifyReply, reader: StreamPlace, start: StreamStart): void {
    if (this.#isOver) throw new EverywireError('going_away', 'The stream ended before its first byte.');
    reply.hijack();
    if (this.#isClosed) return;
    const shared = this.#shared;
    const { wire } = shared;
    const gaps = start.gaps.map((gap) => wire.gap(gap)).join('');
    const { cursor, isPassing = false } = start;
    const first = wire.begin({ cursor, isPassing, retryMs: shared.retryMs }) + gaps;
    const body: OwnedBody | undefined = openBody(
      reply.request.raw,
      reply.raw,
      { fields: streamFields(wire, start), first },
      listeners,
    );
    if (body === undefined) {
      this.cut();
      return;
    }
    body[owner] = this;
    this.#body = body;
    this.#place = reader;
    this.#knownSeq = seqOf(cursor);
    shared.add(this);
  }

  deliver(batch: Batch): boolean {
    if (this.#isClosed) return true;
    const body = this.#body!;
    const shared = this.#shared;
    this.wroteAtTick = shared.heartbeats.tick;
    body.write(batch.as(this.#format).bytes);
    if (body.writableLength <= shared.heldFromBytes) return true;
    this.#outbound ??= new Outbound(body, shared.heldFromBytes, {
      continueDelivery: () => this.#source?.drained(),
    });
    this.#outbound.hold();
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
        this.#finish(this.#shared.wire.goodbye(notice.retryAfterMs));
        break;
    }
  }

  close(reason: CloseReason): void {
    this.#finish(this.#shared.wire.failure(reason.error));
  }

  beat(): void {
    // A peer that does not read needs no heartbeat.
    if (this.#outbound?.isHeld === true) return;
    const place = this.#place!;
    const { wire } = this.#shared;
    const cursor = place.isLive ? place.cursor : undefined;
    const seq = cursor === undefined ? 0 : seqOf(cursor);
    if (cursor === undefined || seq - this.#knownSeq < positionEverySeqs) {
      this.#write(wire.heartbeat());
      return;
    }
    this.#knownSeq = seq;
    this.#write(wire.position(cursor));
  }

  drained(): void {
    this.#outbound?.drained();
  }

  /**
   * Ends the body after the written bytes. A peer that closed its half of the connection has an answer then; most such
   * peers are gone, so the body does not continue.
   */
  end(): void {
    this.#finish('');
  }

  /** Destroys the connection, if it is still open. */
  cut(): void {
    const body = this.#body;
    this.#release();
    this.#body = undefined;
    if (body !== undefined) cutBody(body);
  }

  #write(text: string): void {
    const body = this.#body;
    if (this.#isClosed || body?.writableEnded === true) return;
    this.wroteAtTick = this.#shared.heartbeats.tick;
    body?.write(text);
  }

  /** Releases the source at once; the connection counts until its last bytes are sent. */
  #finish(text: string): void {
    const body = this.#body;
    const source = this.#source;
    this.#source = undefined;
    this.#isOver = true;
    source?.end();
    if (body === undefined || body.writableEnded) return;
    this.#outbound?.end();
    endBody(body, text);
    // A peer that does not read the last bytes would keep the connection open without end.
    const cut = this.#shared.clock.after(this.#shared.host.limits.closeTimeoutMs, () => this.cut());
    body.once('close', () => cut.cancel());
  }

  #release(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#outbound?.end();
    this.#shared.remove(this);
    this.#source?.end();
    this.#source = undefined;
    this.#place = undefined;
  }
}
