import type { Batch } from '../../../packages/server/src/core/log/batch.ts';
import type { Session } from '../../../packages/server/src/core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../../packages/server/src/core/seams/sink.ts';
import type { Credit, Subscription } from '../../../packages/server/src/core/seams/subscription-api.ts';
import type { MortalServer } from './mortal-server.ts';
import type { Setting } from './setting.ts';

/** The receiver of one subscription: a reader or a member of a group. */
export interface Follows {
  delivered(batch: Batch, subscription: Subscription): void;
  /** Its session is about to end, or its server was killed. */
  left(wasKilled: boolean): void;
}

/** A connection: a session, its sink that stops taking bytes now and then, and a quota for all that is read over it. */
export class Party implements Sink {
  readonly session: Session;
  readonly server: MortalServer;
  readonly follows = new Set<Follows>();
  /** Limits the delivered and unacknowledged messages of subscriptions that count. */
  readonly quota: Credit & { readonly max: number; out: number };
  readonly #setting: Setting;
  readonly #holdsOften: number;
  #isHeld = false;
  hasEnded = false;

  constructor(setting: Setting, server: MortalServer) {
    this.#setting = setting;
    this.server = server;
    const max = setting.chance.pick([1, 2, 7, 1_000]);
    this.quota = {
      max,
      out: 0,
      get available() {
        return this.max - this.out;
      },
    };
    this.#holdsOften = setting.chance.pick([0, 0, 0.2]);
    this.session = server.hub.open({ subject: undefined, isAdmin: true }, { transport: 'simulated' }, this);
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    const { chance, time, problems, isCalm } = this.#setting;
    if (this.hasEnded) problems.push('a delivery after the end of its session');
    if (!this.server.isAlive) problems.push('a delivery by a server that was killed');
    if (this.#isHeld) problems.push('a delivery to a sink that is held');
    (subscription.tag as Follows).delivered(batch, subscription);
    if (isCalm || this.hasEnded || !chance.happens(this.#holdsOften)) return true;
    this.#isHeld = true;
    time.after(chance.below(300), () => this.drain());
    return false;
  }

  notify(notice: Notice): void {
    this.#setting.problems.push(`a notice of kind ${notice.kind}`);
  }

  close({ error }: CloseReason): void {
    this.#setting.problems.push(
      `a session was closed: ${error.cause instanceof Error ? error.cause.stack : error.message}`,
    );
  }

  drain(): void {
    if (!this.#isHeld || this.hasEnded || !this.server.isAlive) return;
    this.#isHeld = false;
    this.session.drained();
  }

  /** So many of its deliveries are settled. */
  gaveRoom(count: number): void {
    this.quota.out -= count;
    if (!this.hasEnded && this.server.isAlive) this.session.creditAvailable();
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const isAlive = this.server.isAlive;
    for (const one of [...this.follows]) one.left(!isAlive);
    this.follows.clear();
    if (isAlive) this.session.end();
  }
}
