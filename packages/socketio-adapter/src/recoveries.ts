import type { Room, Session, SocketId } from 'socket.io-adapter';
import type { Fences } from './fences.ts';
import { eventType, type IoNamespace } from './io-namespace.ts';
import { hashOf } from './names.ts';
import { adapterLimits } from './options.ts';
import { isFor } from './packets.ts';
import { dataOf, Recovery, type Logged } from './recovery.ts';
import type { SessionRecord, Sessions } from './sessions.ts';

export interface RecoveriesParts {
  readonly io: IoNamespace;
  readonly fences: Fences;
  readonly sessions: Sessions;
  /** The packets after `cursor` and before `end`; `undefined` when some of them are gone, or there are too many. */
  readonly read: (cursor: string, end: string, signal: AbortSignal) => Promise<readonly Logged[] | undefined>;
  readonly roomsOf: (sid: SocketId) => ReadonlySet<Room> | undefined;
  readonly onRestored: (record: SessionRecord) => void;
  readonly onFailed: (error: unknown) => void;
}

/** A recovery that `socket.io` does not make a socket of is forgotten after this time. */
const untakenMsMax = 60_000;

/** The sessions of one namespace that are being recovered in this process. */
export class Recoveries {
  readonly #parts: RecoveriesParts;
  /** Packets delivered after the fence of each recovery, until `socket.io` takes the session. */
  readonly #tails = new Set<Logged[]>();
  /** Recovered sockets that `socket.io` knows and does not deliver to yet. */
  readonly #arriving = new Map<SocketId, Recovery>();

  constructor(parts: RecoveriesParts) {
    this.#parts = parts;
  }

  /** The session and all events it missed; `undefined` when some of that is missing, so that a new session must begin. */
  async restore(pid: string, offset: string): Promise<Session | undefined> {
    const { sessions, read, onFailed } = this.#parts;
    const hash = hashOf(pid);
    const tail: Logged[] = [];
    const signal = AbortSignal.timeout(adapterLimits.restoreTimeoutMs);
    let session: Session | undefined;
    try {
      const end = await this.#fenceFor(hash, tail, signal);
      const record = await sessions.find(hash, signal);
      const missed = record === undefined ? undefined : await read(offset, end, signal);
      if (record !== undefined && missed !== undefined) session = this.#begin(pid, record, missed, tail);
    } catch (error) {
      if (!signal.aborted) onFailed(error);
    }
    if (session === undefined) this.#tails.delete(tail);
    return session;
  }

  /** A packet is about to be delivered to the sockets of this process. */
  deliver(logged: Logged): void {
    this.#settle();
    for (const tail of this.#tails) tail.push(logged);
    for (const [sid, recovery] of this.#arriving) {
      const rooms = this.#parts.roomsOf(sid);
      if (rooms !== undefined && isFor(logged.packet, rooms)) recovery.held.push(dataOf(logged));
    }
    this.#settle();
  }

  /** The socket is gone. */
  forget(sid: SocketId): void {
    this.#arriving.delete(sid);
  }

  #fenceFor(hash: string, tail: Logged[], signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      this.#parts.fences.raise((cursor) => {
        if (!signal.aborted) this.#tails.add(tail);
        resolve(cursor);
      }, hash);
    });
  }

  #begin(pid: string, record: SessionRecord, missed: readonly Logged[], tail: Logged[]): Session {
    this.#parts.onRestored(record);
    const recovery = new Recovery({
      pid,
      record,
      missed,
      tail,
      onTaken: (taken) => {
        this.#tails.delete(tail);
        this.#arriving.set(record.sid, taken);
        setImmediate(() => this.#settle());
      },
    });
    setTimeout(() => this.#tails.delete(tail), untakenMsMax).unref();
    return recovery.session;
  }

  /**
   * Between making a recovered socket and connecting it `socket.io` delivers nothing to it. Events of that time are held
   * here, and sent as soon as the socket can be reached: the client keeps them until its CONNECT arrives, so that none
   * overtakes another.
   */
  #settle(): void {
    const { sockets, _preConnectSockets: connecting } = this.#parts.io;
    for (const [sid, recovery] of this.#arriving) {
      const connected = sockets.get(sid);
      const socket = connected ?? connecting.get(sid);
      if (socket !== undefined)
        for (const data of recovery.held.splice(0)) socket.packet({ type: eventType, data });
      if (connected !== undefined) this.#arriving.delete(sid);
    }
  }
}
