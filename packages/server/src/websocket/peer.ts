import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../core/clock.ts';
import type { Log } from '../core/seams/log.ts';
import { listeningOf, Outbound } from '../net/outbound.ts';
import {
  FrameReader,
  type FrameReaderLimits,
  type Received,
  closeBody,
  frame,
  opcodes,
  textFrames,
} from '@everywire/wires/websocket';
import type { WebSocketLimits } from './limits.ts';

const nothing = Buffer.alloc(0);
const pingFrame = frame(opcodes.ping, nothing);
/** Waiting answers of this size are written at once, before the end of the turn. */
const textsFlushedFrom = 16 * 1024;

/** Sweeps without a byte from the peer: the first interval may have started just after a sweep. */
const pingFromSweeps = 2;
const deadFromSweeps = 4;

/** No Close frame was seen (RFC 6455 §7.1.5). */
export const brokenCode = 1006;
const noCode = 1005;
const timedOutCode = 4000;
const slowPeerCode = 4001;

/** `closing`: our Close is sent, and the server waits for the peer's. `over`: it sends and reads nothing more. */
type Stage = 'open' | 'closing' | 'over';

const peerOfSocket = Symbol('WebSocketPeer');

interface PeerSocket extends Duplex {
  [peerOfSocket]: WebSocketPeer<unknown>;
}

/**
 * The handlers of a protocol on top of WebSocket. One object for all of them, so that a connection costs no closures;
 * the state of one connection is in `peer.context`.
 */
export interface WebSocketHandlers<Context> {
  /** A whole text message, checked to be UTF-8. It may be part of a larger chunk: copy what is kept for long. */
  onText(peer: WebSocketPeer<Context>, text: Buffer): void;
  /** A whole binary message; as above. */
  onBinary(peer: WebSocketPeer<Context>, data: Buffer): void;
  /**
   * Called once, when nothing more can be sent to the peer. `code` is that of the Close frame received or sent, 1005
   * for one without a code, 1006 when the connection broke (RFC 6455 §7.1.5).
   */
  onClose(peer: WebSocketPeer<Context>, code: number): void;
  /** `send` returned false before; the peer takes bytes again. */
  onDrain(peer: WebSocketPeer<Context>): void;
}

/** The shared state of the peers of one endpoint. */
export interface WebSocketEndpoint<Context> {
  readonly handlers: WebSocketHandlers<Context>;
  readonly limits: WebSocketLimits;
  readonly readerLimits: FrameReaderLimits;
  /** Until `WebSocketPeer.trust`. */
  readonly firstReaderLimits: FrameReaderLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls `beat` regularly from now on. Returns the bucket, to be given back with `remove`. */
  add(peer: WebSocketPeer<Context>): number;
  remove(peer: WebSocketPeer<Context>, bucket: number): void;
  /**
   * Calls `flush` at the end of this turn: answers of one turn leave in one write, since the system call costs more than
   * everything else about a small answer.
   */
  flushSoon(peer: WebSocketPeer<Context>): void;
}

/** One WebSocket connection, server side (RFC 6455 §5–§7): frames in, frames out, ping, Close, and back-pressure. */
export class WebSocketPeer<Context> {
  readonly context: Context;
  readonly #socket: Duplex;
  readonly #endpoint: WebSocketEndpoint<Context>;
  readonly #reader: FrameReader;
  readonly #bucket: number;
  #stage: Stage = 'open';
  #texts: string[] | undefined;
  #textUnits = 0;
  /** Once it had too much unsent. */
  #outbound: Outbound | undefined;
  #isPaused = false;
  #isReading = false;
  #silentSweeps = 0;
  #pings = 0;
  #pingSecond = 0;
  #cutTimer: Timer | undefined;

  /** The socket is the peer's from now on. Its input is read from the next turn on. */
  constructor(socket: Duplex, endpoint: WebSocketEndpoint<Context>, context: Context) {
    this.context = context;
    this.#socket = socket;
    this.#endpoint = endpoint;
    this.#reader = new FrameReader(endpoint.firstReaderLimits);
    this.#bucket = endpoint.add(this);
    if (socket instanceof Socket) {
      // The HTTP server's timeouts are about requests.
      socket.setTimeout(0);
      socket.setNoDelay(true);
    }
    (socket as PeerSocket)[peerOfSocket] = this;
    socket.on('data', WebSocketPeer.#onData);
    socket.on('drain', WebSocketPeer.#onDrain);
    socket.on('end', WebSocketPeer.#onEnd);
    socket.on('error', WebSocketPeer.#onError);
    socket.on('close', WebSocketPeer.#onClose);
  }

  get isOpen(): boolean {
    return this.#stage === 'open';
  }

  /** Bytes handed to the socket that the peer's machine has not taken, and answers of this turn. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.#textUnits;
  }

  /**
   * Writes whole frames, which are shared and must not change. False: enough is unsent; `onDrain` tells when to resume.
   * On a connection that is not open nothing happens.
   */
  send(frames: Buffer): boolean {
    if (this.#stage !== 'open') return true;
    this.flush();
    this.#socket.write(frames);
    if (this.#socket.writableLength <= this.#endpoint.limits.outboundHeldFromBytes) return true;
    this.#outboundOf().hold(frames.length);
    return false;
  }

  /** Sends one text message at the end of this turn, together with others. While too much is unsent, nothing is read. */
  sendText(text: string): void {
    if (this.#stage !== 'open') return;
    if (this.#texts === undefined) {
      this.#texts = [text];
      this.#endpoint.flushSoon(this);
    } else {
      this.#texts.push(text);
    }
    this.#textUnits += text.length;
    if (this.#textUnits >= textsFlushedFrom) this.flush();
  }

  /** Writes the answers that were waiting for the end of the turn. */
  flush(): void {
    const texts = this.#texts;
    if (texts === undefined) return;
    this.#texts = undefined;
    this.#textUnits = 0;
    if (this.#stage === 'open') this.#answer(textFrames(texts).bytes);
  }

  /** Writes whole frames of this peer's own, now. While too much is unsent, nothing is read. */
  answer(frames: Buffer): void {
    if (this.#stage !== 'open') return;
    this.flush();
    this.#answer(frames);
  }

  /** The peer is authenticated: its messages may be as large as any. */
  trust(): void {
    this.#reader.limits = this.#endpoint.readerLimits;
  }

  /** Stops reading until `resume`, for a peer with enough commands in progress. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#readOn();
  }

  /** Sends Close, and ends the connection when the peer has answered or `closeTimeoutMs` are over (§7.1.2). */
  close(code: number, reason = ''): void {
    if (this.#stage !== 'open') return;
    this.flush();
    this.#socket.write(frame(opcodes.close, closeBody(code, reason)));
    this.#stage = 'closing';
    this.#cutLater();
    this.#endpoint.handlers.onClose(this, code);
    // The peer's Close may wait behind unread input.
    this.#outbound?.end();
    this.#isPaused = false;
    this.#readOn();
  }

  /** Cuts the connection without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The group's sweep, once per `heartbeatEveryMs`. */
  beat(): void {
    this.#silentSweeps += 1;
    if (this.#stage !== 'open' || this.#silentSweeps < pingFromSweeps) return;
    if (this.#silentSweeps >= deadFromSweeps) this.close(timedOutCode, 'timed_out');
    else this.send(pingFrame);
  }

  static readonly #onData = function (this: Duplex, chunk: Buffer): void {
    const peer = (this as PeerSocket)[peerOfSocket];
    peer.#silentSweeps = 0;
    if (peer.#stage === 'over') return;
    peer.#reader.push(chunk);
    peer.#read();
  };

  static readonly #onDrain = function (this: Duplex): void {
    (this as PeerSocket)[peerOfSocket].#outbound?.drained();
  };

  /** The peer closed its half. Without its Close no answer can reach it; HTTP's sockets stay half open. */
  static readonly #onEnd = function (this: Duplex): void {
    const peer = (this as PeerSocket)[peerOfSocket];
    peer.#leave(brokenCode);
    this.end();
    peer.#cutLater();
  };

  static readonly #onError = function (this: Duplex, error: Error): void {
    const peer = (this as PeerSocket)[peerOfSocket];
    peer.#endpoint.log.debug({ err: error }, 'a WebSocket connection broke');
  };

  static readonly #onClose = function (this: Duplex): void {
    const peer = (this as PeerSocket)[peerOfSocket];
    peer.#leave(brokenCode);
    peer.#cutTimer?.cancel();
    peer.#endpoint.remove(peer, peer.#bucket);
  };

  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#mayRead()) {
      const received = this.#reader.next();
      if (received === undefined) break;
      this.#receive(received);
    }
    this.#isReading = false;
    if (!this.#mayRead()) this.#socket.pause();
  }

  #mayRead(): boolean {
    return this.#outbound?.isStalled !== true && !this.#isPaused;
  }

  #readOn(): void {
    if (!this.#mayRead() || this.#isReading) return;
    this.#read();
    if (this.#mayRead() && this.#socket.isPaused()) this.#socket.resume();
  }

  #receive(received: Received): void {
    switch (received.kind) {
      case 'text':
      case 'binary':
        if (this.#stage === 'open') this.#hand(received.kind, received.payload);
        break;
      case 'ping':
        if (this.#stage === 'open') this.#answerPing(received.payload);
        break;
      case 'pong':
        break;
      case 'close':
        this.#answerClose(received.code);
        break;
      case 'broken':
        this.#fail(received.code, received.reason);
        break;
    }
  }

  /** The boundary of a connection: a fault in a handler costs only this peer its connection. */
  #hand(kind: 'text' | 'binary', payload: Buffer): void {
    const { handlers, log } = this.#endpoint;
    try {
      if (kind === 'text') handlers.onText(this, payload);
      else handlers.onBinary(this, payload);
    } catch (cause) {
      log.error({ err: cause }, 'a WebSocket message could not be handled; the connection is closed');
      this.close(1011, 'internal');
    }
  }

  #answerPing(payload: Buffer): void {
    const second = Math.floor(this.#endpoint.clock.monotonicMs() / 1_000);
    this.#pings = second === this.#pingSecond ? this.#pings + 1 : 1;
    this.#pingSecond = second;
    if (this.#pings > this.#endpoint.limits.pingsPerSecondMax) {
      this.#fail(
        1008,
        `rate_limited: limits.pingsPerSecondMax is ${this.#endpoint.limits.pingsPerSecondMax}.`,
      );
      return;
    }
    this.flush();
    this.#answer(frame(opcodes.pong, payload));
  }

  #answerClose(code: number): void {
    if (this.#stage === 'open') {
      this.flush();
      this.#socket.write(frame(opcodes.close, code === noCode ? nothing : closeBody(code)));
    }
    this.#leave(code);
    this.#socket.end();
    this.#cutLater();
  }

  /** Fails the connection (§7.1.7): sends the reason, ends our half, and ignores further input. */
  #fail(code: number, reason: string): void {
    if (this.#stage === 'open') {
      this.flush();
      this.#socket.write(frame(opcodes.close, closeBody(code, reason)));
    }
    this.#leave(code);
    this.#socket.end();
    this.#cutLater();
  }

  #answer(frames: Buffer): void {
    this.#socket.write(frames);
    const { writableLength } = this.#socket;
    const listening = listeningOf(writableLength, this.#endpoint.limits, this.#outbound?.deliveredBytes);
    if (listening === 'slow') this.#outboundOf().stall();
    if (listening !== 'deaf') return;
    this.#leave(slowPeerCode);
    this.#socket.destroy();
  }

  #outboundOf(): Outbound {
    const { limits, handlers } = this.#endpoint;
    return (this.#outbound ??= new Outbound(this.#socket, limits.outboundHeldFromBytes, {
      continueDelivery: () => {
        // Its machine took bytes, so the peer is alive, even if our ping is still behind them.
        this.#silentSweeps = 0;
        handlers.onDrain(this);
      },
      continueReading: () => {
        this.#silentSweeps = 0;
        this.#readOn();
      },
    }));
  }

  #leave(code: number): void {
    const wasOpen = this.#stage === 'open';
    this.#stage = 'over';
    this.#texts = undefined;
    this.#textUnits = 0;
    this.#outbound?.end();
    this.#isPaused = false;
    if (wasOpen) this.#endpoint.handlers.onClose(this, code);
    // Discards further input, so that the end of the connection arrives.
    this.#socket.resume();
  }

  #cutLater(): void {
    this.#cutTimer ??= this.#endpoint.clock.after(this.#endpoint.limits.closeTimeoutMs, () =>
      this.#socket.destroy(),
    );
  }
}
