import { clientOf } from './clients.ts';
import { Cut } from './errors.ts';
import type { Arrival, FollowOptions, Publication, Session } from './session.ts';
import { Sockets, type CutKind } from './sockets.ts';
import type { Target } from './target.ts';

export interface ProbeOptions {
  /** Closes the probe. */
  readonly signal?: AbortSignal | undefined;
}

/** Counted since the probe was made, over all of its connections. */
export interface Figures {
  readonly published: number;
  /** Messages. */
  readonly received: number;
  readonly gaps: number;
  readonly connections: number;
  /** Connections after the first, without those that HTTP makes for each request. */
  readonly reconnects: number;
  /** Bytes on the network, with TLS and headers. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/**
 * A client of one wire. It connects at the first call, and again at the next call after a lost connection. It never
 * follows again by itself: the caller does, from its last cursor.
 */
export class Probe {
  readonly target: Target;
  readonly #sockets: Sockets;
  #opening: Promise<Session> | undefined;
  /** The session that `#opening` gave, while it lasts. */
  #session: Session | undefined;
  #sessions = 0;
  #published = 0;
  #received = 0;
  #gaps = 0;
  #closed: Cut | undefined;

  constructor(target: Target, { signal }: ProbeOptions = {}) {
    this.target = target;
    this.#sockets = new Sockets(target);
    if (signal?.aborted === true) this.#stop(new Cut('no time was left'));
    signal?.addEventListener('abort', () => this.#stop(new Cut('no time was left')), { once: true });
  }

  get figures(): Figures {
    const { connections, bytesRead, bytesWritten } = this.#sockets;
    return {
      published: this.#published,
      received: this.#received,
      gaps: this.#gaps,
      connections,
      reconnects: Math.max(0, this.#sessions - 1),
      bytesRead,
      bytesWritten,
    };
  }

  /** Resolves with the receipt as a line of JSON, once the message is stored. @throws Unreachable, Cut, Refused, Unsendable */
  async publish(channel: string, publication: Publication): Promise<string> {
    const session = await this.#open();
    const receipt = await session.publish(channel, publication);
    this.#published += 1;
    return receipt;
  }

  /**
   * Follows a channel or a filter over one connection. It returns when the server ends it in good order.
   * @throws Unreachable, Cut, Refused, Unsendable; either way, the caller may follow again from the last cursor
   */
  async *follow(channel: string, options: FollowOptions = {}): AsyncGenerator<Arrival, void, undefined> {
    const session = await this.#open();
    for await (const arrival of session.follow(channel, options)) {
      if (arrival.kind === 'message') this.#received += 1;
      else if (arrival.kind === 'gap') this.#gaps += 1;
      yield arrival;
    }
  }

  /** Stops reading from the network, like a stuck client. */
  pause(): void {
    this.#sockets.pause();
  }

  resume(): void {
    this.#sockets.resume();
  }

  /** Breaks the connection without a goodbye. */
  cut(how: CutKind): void {
    this.#sockets.cut(how);
    if (how === 'stall') return;
    // The connection is broken, so this only rejects waiting calls, also between two requests.
    this.#session?.close();
    this.#session = undefined;
    this.#opening = undefined;
  }

  /** Closes the connection normally, and rejects the running calls. */
  close(): void {
    this.#closed ??= new Cut('this side closed the connection');
    if (this.#session === undefined) this.#sockets.close(this.#closed);
    else this.#session.close();
  }

  #stop(reason: Cut): void {
    this.#closed ??= reason;
    this.#sockets.close(reason);
  }

  async #open(): Promise<Session> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#session?.isEnded === true) this.#opening = undefined;
    this.#opening ??= this.#connect();
    return this.#opening;
  }

  async #connect(): Promise<Session> {
    try {
      const open = await clientOf(this.target.wire);
      this.#session = await open(this.target, this.#sockets);
      this.#sessions += 1;
      return this.#session;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }
}
