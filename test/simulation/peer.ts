import type { Batch } from '../../packages/server/src/core/log/batch.ts';
import type { Session } from '../../packages/server/src/core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../packages/server/src/core/seams/sink.ts';
import type { Subscription } from '../../packages/server/src/core/seams/subscription-api.ts';
import { Reading } from './reading.ts';
import type { Node, World } from './world.ts';

/** One connection: a session, its sink that stops taking bytes now and then, and what is read over it. */
export class Peer implements Sink {
  readonly name: string;
  readonly node: Node;
  readonly session: Session;
  readonly readings = new Set<Reading>();
  readonly #world: World;
  readonly #holdsOften: number;
  #isHeld = false;
  #hasEnded = false;

  constructor(world: World, node: Node, name: string) {
    this.#world = world;
    this.node = node;
    this.name = name;
    this.#holdsOften = world.chance.pick([0, 0, 0.1, 0.5]);
    this.session = node.hub.open({ subject: undefined, isAdmin: true }, { transport: 'simulated' }, this);
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    const { chance, time, problems, isCalm } = this.#world;
    if (this.#hasEnded) problems.push(`${this.name} was delivered to after its end`);
    if (this.#isHeld) problems.push(`${this.name} was delivered to while held (${subscription.filter})`);
    readingOf(subscription).delivered(batch);
    if (isCalm || !chance.happens(this.#holdsOften)) return true;
    this.#isHeld = true;
    time.after(chance.below(400), () => this.drain());
    return false;
  }

  notify(notice: Notice): void {
    if (notice.kind === 'goaway') return;
    const reading = readingOf(notice.subscription);
    if (notice.kind === 'gap') reading.gap(notice.gap);
    else reading.ended();
  }

  close({ error }: CloseReason): void {
    this.#world.problems.push(`${this.name} was closed: ${error.message}`);
  }

  drain(): void {
    if (!this.#isHeld || this.#hasEnded) return;
    this.#isHeld = false;
    this.session.drained();
  }

  end(): void {
    if (this.#hasEnded) return;
    for (const reading of this.readings) reading.leave();
    this.session.end();
    this.#hasEnded = true;
  }
}

function readingOf(subscription: Subscription): Reading {
  const { tag } = subscription;
  if (tag instanceof Reading) return tag;
  throw new Error('a subscription lost its tag');
}
