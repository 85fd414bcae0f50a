import type { ServerResponse } from 'node:http';
import type { Credentials } from '../../../core/sessions/access.ts';
import type { Counted } from '../../../core/publish/throttle.ts';
import type { SocketIoLimits } from '../limits.ts';
import { frame, opcodes } from '@everywire/wires/websocket';
import type { WebSocketPeer } from '../../../websocket/peer.ts';
import { base64Packet, packets, parsePacket, separator, type EnginePacket } from '@everywire/wires/socketio';
import { listeningOf } from '../../../net/outbound.ts';
import { onHalfClosed } from '../../../http/half-closed.ts';
import { answer } from './answers.ts';
import type { EncodedBatch, EngineHandlers, EngineSession } from './handlers.ts';
import type { WebSocketSide } from './websocket-side.ts';

/** A GET that waits for packets. */
export interface Poll {
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
}

/** The shared part of the sessions of one engine. */
export interface EngineSocketHost<Context> {
  readonly handlers: EngineHandlers<Context>;
  readonly limits: SocketIoLimits;
  /** Calls `flush` at the end of this turn. */
  flushSoon(socket: EngineSocket<Context>): void;
  /** A ping was sent, and its answer is expected. */
  pinged(socket: EngineSocket<Context>): void;
  ponged(socket: EngineSocket<Context>): void;
  /** Called once. */
  closed(socket: EngineSocket<Context>, how: 'left' | 'lost'): void;
  /** Answers a poll with an error, since the state of its answer could not be stored. */
  failed(response: ServerResponse, headers: Readonly<Record<string, string>>, cause: unknown): void;
}

/** An outgoing item: a text packet, a binary message, or shared packets. */
type Outgoing = string | Buffer | EncodedBatch;

const noPackets = Buffer.alloc(0);
/**
 * The largest number of packets in the answer to one poll: python-engineio accepts no more, and ends the session at the
 * next one.
 */
export const pollPacketsMax = 16;

/** One Engine.IO session: packets in and out, by polling or by WebSocket, and the upgrade from one to the other. */
export class EngineSocket<Context> implements EngineSession<Context>, WebSocketSide {
  readonly sid: string;
  shown: Credentials;
  readonly counted: Counted = {};
  #isTrusted = false;
  context!: Context;
  readonly #host: EngineSocketHost<Context>;
  #carrier: WebSocketPeer<WebSocketSide> | undefined;
  #isOpen = true;
  /** Set from the probe on until the upgrade is done or given up. */
  isUpgrading = false;
  #poll: Poll | undefined;
  /** The answer to the poll is chosen, and not sent yet. */
  #isAnswering = false;
  isPosting = false;
  /** The remaining work of the session's end. */
  goodbye: undefined | Promise<unknown>;
  /** The items that wait for the next poll. */
  #out: Outgoing[] | undefined;
  #outBytes = 0;
  /** The bytes of the batches among them. */
  #batchBytes = 0;
  #isFlushDue = false;
  /** `sendEncoded` returned false, so `writable` has to be called. */
  #isHeld = false;
  /** The answer to the last poll had content, and no poll has come since. */
  #isUnconfirmed = false;
  #pingsSent = 0;
  #pongsSeen = 0;
  /** Callers that wait until the peer has everything that was sent; while it polls, `pongs` is not used. */
  #confirming: { pongs: number; readonly resolve: () => void }[] | undefined;
  #isProbed = false;
  #resumePost: (() => void) | undefined;

  constructor(host: EngineSocketHost<Context>, sid: string, shown: Credentials) {
    this.#host = host;
    this.sid = sid;
    this.shown = shown;
  }

  get address(): string | undefined {
    return this.shown.address;
  }

  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  trust(): void {
    this.#isTrusted = true;
    this.#carrier?.trust();
  }

  get kind(): 'polling' | 'websocket' {
    return this.#carrier === undefined ? 'polling' : 'websocket';
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether a waiting poll can be answered at once. */
  get isPolled(): boolean {
    return this.#poll !== undefined && !this.#isAnswering;
  }

  sendText(data: string): void {
    this.#sendPacket(packets.message + data);
  }

  sendBinary(data: Buffer): void {
    if (this.#carrier !== undefined) this.#carrier.send(frame(opcodes.binary, data));
    else this.#keep(data, data.length);
  }

  sendFrames(frames: Buffer): boolean {
    return this.#carrier!.send(frames);
  }

  sendEncoded(batches: readonly EncodedBatch[]): boolean {
    for (const batch of batches) {
      const bytes = batch.bytes('polling').length;
      this.#batchBytes += bytes;
      this.#keep(batch, bytes);
    }
    const takesMore = this.isPolled && this.#outBytes <= this.#host.limits.outboundHeldFromBytes;
    if (!takesMore) this.#isHeld = true;
    return takesMore;
  }

  pause(): void {
    this.#carrier?.pause();
  }

  resume(): void {
    this.#carrier?.resume();
  }

  get waitingPackets(): readonly string[] {
    const own: string[] = [];
    for (const one of this.#out ?? []) {
      if (typeof one === 'string') {
        if (one !== packets.ping) own.push(one);
      } else if (Buffer.isBuffer(one)) {
        own.push(base64Packet(one));
      }
    }
    return own;
  }

  restoreWaiting(waiting: readonly string[]): void {
    for (const packet of waiting) this.#keep(packet, packet.length);
  }

  confirmed(): Promise<void> {
    const isPolling = this.#carrier === undefined;
    if (!this.#isOpen || (isPolling && this.#isConfirmed)) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#confirming ??= []).push({ pongs: this.#pingsSent + 1, resolve });
      if (!isPolling) this.ping();
    });
  }

  /**
   * Resolves when the messages of a POST were handled, or an upgrade was tried: from then on the peer waits for the
   * answer to its POST, and does not poll.
   */
  untilHandled(handled: Promise<unknown>): Promise<void> {
    if (this.#isProbed) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#resumePost = resolve;
      handled.then(() => {
        this.#resumePost = undefined;
        resolve();
      }, reject);
    });
  }

  discard(sender: object): boolean {
    const discarded = this.#out?.filter((one) => isEncodedBy(one, sender)) ?? [];
    if (discarded.length === 0) return false;
    for (const batch of discarded) this.#countOut(batch);
    const kept = this.#out!.filter((one) => !isEncodedBy(one, sender));
    this.#out = kept.length === 0 ? undefined : kept;
    return true;
  }

  ping(): void {
    this.#pingsSent += 1;
    this.#host.pinged(this);
    this.#sendPacket(packets.ping);
  }

  close(code = 1000, reason = ''): void {
    if (!this.#isOpen) return;
    if (this.#carrier !== undefined) {
      // The carrier calls `closed`, which ends the session.
      this.#carrier.close(code, reason);
      return;
    }
    this.#keep(packets.close, 1);
    if (!this.#isAnswering) this.#answerPoll(Number.POSITIVE_INFINITY);
    this.end('lost');
  }

  end(how: 'left' | 'lost'): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (!this.#isAnswering && this.#poll !== undefined) {
      // A remaining poll gets an empty answer, and the next one the error that the session is gone.
      this.#keep(packets.noop, 1, true);
      this.#answerPoll(Number.POSITIVE_INFINITY);
    }
    this.#dropOut();
    this.#confirm(Number.POSITIVE_INFINITY);
    this.#host.closed(this, how);
  }

  /** A session that was opened by WebSocket. */
  openedBy(peer: WebSocketPeer<WebSocketSide>): void {
    this.#carry(peer);
  }

  /** The peer polls no more. The waiting items are sent by WebSocket, in the same order. */
  upgradeTo(peer: WebSocketPeer<WebSocketSide>): void {
    this.endUpgrade();
    if (this.isPolled) this.#release();
    this.#carry(peer);
    const waiting = this.#out ?? [];
    this.#dropOut();
    let takesMore = true;
    for (const one of waiting) {
      if (typeof one === 'string') peer.sendText(one);
      else takesMore = peer.send(Buffer.isBuffer(one) ? frame(opcodes.binary, one) : one.bytes('websocket'));
    }
    if (this.#confirming !== undefined) {
      for (const one of this.#confirming) one.pongs = this.#pingsSent + 1;
      this.ping();
    }
    this.#host.handlers.upgraded?.(this);
    if (takesMore) this.#tellWritable();
    else this.#isHeld = false;
  }

  /** The peer has sent a probe on its WebSocket. */
  probe(): void {
    this.#isProbed = true;
    this.#resumePost?.();
    this.#resumePost = undefined;
    this.releasePoll();
  }

  /** The upgrade succeeded or failed. */
  endUpgrade(): void {
    this.isUpgrading = false;
    this.#isProbed = false;
  }

  /** Answers a waiting poll now, so that the peer can switch to WebSocket. */
  releasePoll(): void {
    if (this.isPolled) this.#release();
  }

  /** A GET. Returns false if another one waits already, which ends the session. */
  takePoll(poll: Poll): boolean {
    if (this.#poll !== undefined) return false;
    this.#poll = poll;
    // A peer that polls again has received the last answer.
    this.#isUnconfirmed = false;
    // A session does not outlive its poll: the client's half of the connection is how it leaves.
    const stop = onHalfClosed(poll.response.req, () => poll.response.destroy());
    poll.response.once('close', () => {
      stop();
      if (this.#poll === poll) {
        this.#poll = undefined;
        this.#isAnswering = false;
      }
      // A peer that did not get an answer cannot know its content, and never polls here again.
      if (!poll.response.writableFinished) this.end('lost');
    });
    if (this.#out !== undefined) {
      this.flush();
    } else {
      this.#confirm(Number.POSITIVE_INFINITY);
      this.#tellWritable();
    }
    return true;
  }

  /** Answers the waiting poll with the waiting items. */
  flush(): void {
    this.#isFlushDue = false;
    if (!this.#isOpen || this.#out === undefined || !this.isPolled) return;
    const poll = this.#poll!;
    const bytes = this.#takeOut(pollPacketsMax);
    this.#isAnswering = true;
    const ready = this.#host.handlers.beforeAnswer?.(this);
    if (ready === undefined) {
      answer(poll.response, 200, poll.headers, bytes);
      this.#isAnswering = false;
      this.#poll = undefined;
      this.#afterAnswer();
      return;
    }
    ready.then(
      () => {
        answer(poll.response, 200, poll.headers, bytes);
        this.#isAnswering = false;
        this.#poll = undefined;
        this.#afterAnswer();
      },
      (cause: unknown) => {
        this.#host.failed(poll.response, poll.headers, cause);
        this.#isAnswering = false;
        this.#poll = undefined;
        this.end('lost');
      },
    );
  }

  /** A packet of the peer. Returns false if it is not allowed here: the caller then ends the session. */
  receive(packet: EnginePacket): { readonly done: undefined | Promise<unknown> } | undefined {
    switch (packet.kind) {
      case 'message':
        return { done: this.#host.handlers.message(this, packet.data) };
      case 'pong':
        this.#pongsSeen += 1;
        if (this.#carrier !== undefined) this.#confirm(this.#pongsSeen);
        this.#host.ponged(this);
        return nothingToDo;
      case 'noop':
        return nothingToDo;
      case 'close':
        this.end('left');
        return nothingToDo;
      case 'probe':
      case 'upgrade':
        return undefined;
    }
  }

  onText(_peer: WebSocketPeer<WebSocketSide>, text: Buffer): void {
    const packet = parsePacket(text.toString());
    if (packet === undefined || this.receive(packet) === undefined) this.#carrier?.close(1002, 'parse error');
    else if (packet.kind === 'close') this.#carrier?.close(1000);
  }

  onBinary(_peer: WebSocketPeer<WebSocketSide>, data: Buffer): void {
    this.receive({ kind: 'message', data });
  }

  onDrain(): void {
    this.#host.handlers.writable(this);
  }

  onClose(_peer: WebSocketPeer<WebSocketSide>, code: number): void {
    this.end(goodbyes.has(code) ? 'left' : 'lost');
  }

  #carry(peer: WebSocketPeer<WebSocketSide>): void {
    this.#carrier = peer;
    if (this.#isTrusted) peer.trust();
  }

  #sendPacket(packet: string): void {
    if (this.#carrier !== undefined) this.#carrier.sendText(packet);
    else this.#keep(packet, packet.length);
  }

  #keep(one: Outgoing, bytes: number, isLast = false): void {
    if (!this.#isOpen && !isLast) return;
    (this.#out ??= []).push(one);
    this.#outBytes += bytes;
    if (listeningOf(this.#outBytes, this.#host.limits, this.#batchBytes) === 'deaf') {
      // The peer sends, but does not read.
      this.#dropOut();
      this.end('lost');
      return;
    }
    if (this.#isFlushDue || this.#poll === undefined) return;
    this.#isFlushDue = true;
    this.#host.flushSoon(this);
  }

  /** Removes the first items of at most `packetsMax` packets, and at least one item. */
  #takeOut(packetsMax: number): Buffer {
    const pieces: Buffer[] = [];
    const out = this.#out ?? [];
    let count = 0;
    for (const one of out) {
      count += packetsOf(one);
      if (pieces.length > 0 && count > packetsMax) break;
      if (one !== packets.noop) this.#isUnconfirmed = true;
      if (typeof one === 'string') pieces.push(Buffer.from(one + separator));
      else if (Buffer.isBuffer(one)) pieces.push(Buffer.from(base64Packet(one) + separator));
      else pieces.push(one.bytes('polling'));
      this.#countOut(one);
      if (isEncoded(one)) one.taken();
    }
    if (pieces.length === out.length) this.#dropOut();
    else this.#out = out.slice(pieces.length);
    const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    return all.length === 0 ? noPackets : all.subarray(0, all.length - 1);
  }

  #answerPoll(packetsMax: number): void {
    const poll = this.#poll;
    if (poll === undefined) return;
    this.#poll = undefined;
    answer(poll.response, 200, poll.headers, this.#takeOut(packetsMax));
  }

  #dropOut(): void {
    this.#out = undefined;
    this.#outBytes = 0;
    this.#batchBytes = 0;
  }

  /** Counts an item that no longer waits. */
  #countOut(one: Outgoing): void {
    const bytes = isEncoded(one) ? one.bytes('polling').length : one.length;
    this.#outBytes -= bytes;
    if (isEncoded(one)) this.#batchBytes -= bytes;
  }

  /** Answers the poll with the waiting items, or with a noop packet. */
  #release(): void {
    if (this.#out === undefined) this.#keep(packets.noop, 1);
    this.flush();
  }

  #afterAnswer(): void {
    if (this.#out === undefined) this.#tellWritable();
    else if (this.isPolled) this.flush();
  }

  get #isConfirmed(): boolean {
    return !this.#isUnconfirmed && this.#out === undefined && !this.#isAnswering;
  }

  #confirm(pongs: number): void {
    while (this.#confirming?.[0] !== undefined && this.#confirming[0].pongs <= pongs) {
      this.#confirming.shift()!.resolve();
    }
    if (this.#confirming?.length === 0) this.#confirming = undefined;
  }

  #tellWritable(): void {
    if (!this.#isHeld || !this.#isOpen) return;
    this.#isHeld = false;
    this.#host.handlers.writable(this);
  }
}

function isEncoded(one: Outgoing): one is EncodedBatch {
  return typeof one === 'object' && !Buffer.isBuffer(one);
}

function isEncodedBy(one: Outgoing, sender: object): one is EncodedBatch {
  return isEncoded(one) && one.sender === sender;
}

function packetsOf(one: Outgoing): number {
  return isEncoded(one) ? one.packetsMax : 1;
}

const nothingToDo = { done: undefined } as const;

/** Close codes of a normal close by the peer (RFC 6455 §7.4.1); 1005 is a Close without a code. */
const goodbyes = new Set([1000, 1001, 1005]);
