import {
  constants,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import { Deadlines, type Deadline } from '../core/deadlines.ts';

/** A session that leaves so many of our pings unanswered has vanished without a close. */
const pingsUnansweredMax = 2;

/** Error codes of nghttp2 that Node reports to peers as INTERNAL_ERROR, with their HTTP/2 codes (RFC 9113 §7). */
const codesOfFaults: ReadonlyMap<number, number> = new Map([
  // Node's own code: too many refused streams.
  [-902, constants.NGHTTP2_ENHANCE_YOUR_CALM],
  // Not a preface.
  [-903, constants.NGHTTP2_PROTOCOL_ERROR],
  // Too much to answer, resets, and header blocks of too many frames.
  [-904, constants.NGHTTP2_ENHANCE_YOUR_CALM],
  [-905, constants.NGHTTP2_ENHANCE_YOUR_CALM],
  [-906, constants.NGHTTP2_ENHANCE_YOUR_CALM],
]);

/**
 * How many calls a peer may reset at once, and per second after that: rapid reset, CVE-2023-44487. Node's own limit
 * comes some resets later, counts resets that never become a call, and reports INTERNAL_ERROR to peers.
 */
const resetsMax = 100;
const resetsPerSecond = 10;
const resetBounds = { streamResetBurst: 10 * resetsMax, streamResetRate: 10 * resetsPerSecond };

/** The limits for Node's HTTP/2 servers; `streamsMax` is the number of concurrent streams of one connection. */
export function http2Bounds(limits: HttpLimits, streamsMax: number): ServerOptions {
  return {
    settings: { maxConcurrentStreams: streamsMax, maxHeaderListSize: limits.headerBytesMax },
    maxHeaderListPairs: limits.headerCountMax,
    maxSessionInvalidFrames: 50,
    maxSessionMemory: 4,
    ...resetBounds,
  };
}

export interface Http2ConnectionsOptions {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** A connection without a request for this long is closed; absent: it may stay idle. */
  readonly idleMs?: number | undefined;
}

/** One HTTP/2 connection. */
export class Http2Connection {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  /** The deadline for its preface and its first call. */
  readonly deadline: Deadline;
  hasSpoken = false;
  hasCalled = false;
  /** The number of open calls. */
  open = 0;
  /** Our pings that it has not answered. */
  unanswered = 0;
  #asked = 0;
  #askedSinceMs = 0;
  #resets = 0;
  #resetsAtMs = 0;

  constructor(session: ServerHttp2Session, socket: Socket, begin: (connection: Http2Connection) => Deadline) {
    this.session = session;
    this.socket = socket;
    this.deadline = begin(this);
  }

  /** A closed session waits without limit for its peer to close the socket, so the socket is destroyed too. */
  cut(): void {
    this.session.destroy();
    this.socket.destroy();
  }

  /**
   * Called after each write. Some clients measure a connection with a ping for each frame that they receive, so such
   * pings do not count (gRPC proposal A8).
   */
  sent(): void {
    this.#asked = 0;
  }

  /** The peer has sent a frame that needs an answer. Returns how many it sent in this second. */
  asked(nowMs: number): number {
    if (nowMs - this.#askedSinceMs >= 1_000) {
      this.#askedSinceMs = nowMs;
      this.#asked = 0;
    }
    this.#asked += 1;
    return this.#asked;
  }

  /** The peer has reset a call. Returns false if it does so too often. */
  reset(nowMs: number): boolean {
    const forgotten = ((nowMs - this.#resetsAtMs) / 1_000) * resetsPerSecond;
    this.#resets = Math.max(0, this.#resets - forgotten) + 1;
    this.#resetsAtMs = nowMs;
    return this.#resets <= resetsMax;
  }
}

/**
 * The connections of an HTTP/2 server, with limits that Node lacks: the time before the preface, before the first call
 * and between calls, and the rate of frames that need an answer.
 */
export class Http2Connections {
  readonly #options: Http2ConnectionsOptions;
  readonly #deadlines: Deadlines<Http2Connection>;
  readonly #open = new Map<ServerHttp2Session, Http2Connection>();
  #accepted: Socket | undefined;
  #pingTimer: Timer | undefined;

  constructor(options: Http2ConnectionsOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines({
      clock: options.clock,
      onDue: (connection) => this.#overdue(connection),
    });
  }

  /** Watches the sessions of this server from here on. */
  watch(server: Http2Server): void {
    const { log } = this.#options;
    // Runs before the listener that makes a session and reports it at once.
    server.prependListener('connection', (socket: Socket) => {
      this.#accepted = socket;
    });
    server.on('session', (session) => this.#add(session));
    server.on('sessionError', (error: Error) => log.debug({ err: error }, 'an HTTP/2 connection broke'));
    this.#pingLater();
  }

  /** A call begins. Returns `undefined` if its connection has already gone. */
  called(stream: ServerHttp2Stream): Http2Connection | undefined {
    const connection = this.#open.get(stream.session as ServerHttp2Session);
    if (connection === undefined) return undefined;
    stream.on('aborted', () => {
      if (!connection.reset(this.#options.clock.monotonicMs())) calm(connection.session);
    });
    connection.hasCalled = true;
    connection.deadline.cancel();
    connection.open += 1;
    stream.once('close', () => this.#left(connection));
    connection.sent();
    return connection;
  }

  /** GOAWAY to those that have no call open. */
  closeIdle(): void {
    for (const connection of this.#open.values()) if (connection.open === 0) connection.session.close();
  }

  /** GOAWAY: no new calls; a session ends with its last one (RFC 9113 §6.8). */
  closeAll(): void {
    this.#pingTimer?.cancel();
    for (const connection of this.#open.values()) {
      if (connection.hasSpoken) connection.session.close();
      else connection.cut();
    }
  }

  destroyAll(): void {
    for (const connection of this.#open.values()) connection.cut();
  }

  #add(session: ServerHttp2Session): void {
    const { handshakeTimeoutMs, pingsPerSecondMax } = this.#options.limits;
    const { clock } = this.#options;
    const connection = new Http2Connection(session, this.#accepted!, (one) =>
      this.#deadlines.start(one, handshakeTimeoutMs),
    );
    this.#open.set(session, connection);
    const asked = (): void => {
      if (connection.asked(clock.monotonicMs()) <= pingsPerSecondMax) return;
      // Each of these frames needs an answer: floods of them are CVE-2019-9512 and CVE-2019-9515.
      calm(session);
    };
    tellWhy(session);
    session.on('ping', asked);
    session.on('remoteSettings', () => {
      connection.hasSpoken = true;
      asked();
    });
    session.on('close', () => {
      connection.deadline.cancel();
      this.#open.delete(session);
    });
  }

  #left(connection: Http2Connection): void {
    connection.open -= 1;
    const { idleMs } = this.#options;
    const { session } = connection;
    if (idleMs !== undefined && connection.open === 0 && !session.closed && !session.destroyed)
      connection.deadline.restart(idleMs);
  }

  /**
   * A peer that only connects, or calls nothing, is not authenticated. A client that waits for a call connects again.
   */
  #overdue(connection: Http2Connection): void {
    const { session, hasSpoken, deadline } = connection;
    if (!hasSpoken || session.closed) {
      connection.cut();
      return;
    }
    session.close();
    // The peer may stay inside the head of a call.
    deadline.restart(this.#options.limits.closeTimeoutMs);
  }

  /** Unanswered pings find peers that vanished without closing. */
  #pingLater(): void {
    const { clock, limits } = this.#options;
    this.#pingTimer = clock.after(limits.heartbeatEveryMs, () => {
      for (const connection of this.#open.values()) {
        const { session } = connection;
        if (session.destroyed || session.closed || !connection.hasSpoken) continue;
        if (connection.unanswered >= pingsUnansweredMax) {
          connection.cut();
          continue;
        }
        connection.unanswered += 1;
        session.ping((error) => {
          if (error === null) connection.unanswered = 0;
        });
      }
      this.#pingLater();
    });
  }
}

/** GOAWAY with ENHANCE_YOUR_CALM, and the end. */
function calm(session: ServerHttp2Session): void {
  if (session.destroyed) return;
  // The types allow only an error, but a number works too: it is the code of the GOAWAY.
  session.destroy(constants.NGHTTP2_ENHANCE_YOUR_CALM as never);
}

/** Sends the right code: when Node ends a session because of the peer, it reports an internal error. */
function tellWhy(session: ServerHttp2Session): void {
  const destroy = session.destroy.bind(session);
  session.destroy = (error, code) => {
    const fault = typeof error === 'object' ? (error as NodeJS.ErrnoException) : undefined;
    const isInvalid = fault?.code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES';
    const told = isInvalid ? constants.NGHTTP2_ENHANCE_YOUR_CALM : codesOfFaults.get(fault?.errno ?? 0);
    destroy(error, code ?? told);
  };
}
