import type { Clock } from '../core/clock.ts';
import type { NetLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import { Deadlines } from '../core/deadlines.ts';
import type { Link, LinkHandlers, OpenLink } from './link.ts';

export interface LinkOptions<Context> {
  readonly open: OpenLink<Context>;
  readonly handlers: LinkHandlers<Context>;
  readonly limits: NetLimits;
  readonly clock: Clock;
  readonly log: Log;
}

/** A link as its group sees it. */
export interface GroupedLink<Context> extends Link<Context> {
  /** Writes the answers that wait for the end of the turn. */
  flush(): void;
}

/** The shared part of the links of one listener or path: handlers, deadlines, and their answers of one turn. */
export class LinkGroup<Context> {
  readonly handlers: LinkHandlers<Context>;
  readonly limits: NetLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly deadlines: Deadlines<Link<Context>>;
  readonly #open: OpenLink<Context>;
  #unflushed: GroupedLink<Context>[] = [];

  constructor({ open, handlers, limits, clock, log }: LinkOptions<Context>) {
    this.#open = open;
    this.handlers = handlers;
    this.limits = limits;
    this.clock = clock;
    this.log = log;
    this.deadlines = new Deadlines({ clock, onDue: (link) => this.#overdue(link) });
  }

  /** The context of the link; `undefined`: the link is refused. A fault of the protocol refuses it too. */
  open(link: Link<Context>): Context | undefined {
    try {
      return this.#open(link);
    } catch (cause) {
      this.log.error({ err: cause }, 'a connection could not be opened; it is refused');
      return undefined;
    }
  }

  /** Answers of one turn leave in one write: the system call costs more than everything else about a small answer. */
  flushSoon(link: GroupedLink<Context>): void {
    if (this.#unflushed.push(link) === 1) process.nextTick(this.#flush);
  }

  /** The boundary of a connection: a fault in a handler costs only this peer its connection. */
  hand(link: Link<Context>, bytes: Buffer): void {
    try {
      this.handlers.onData(link, bytes);
    } catch (cause) {
      this.log.error({ err: cause }, 'the input of a peer could not be handled; the connection is closed');
      link.end(1011, 'internal');
    }
  }

  readonly #flush = (): void => {
    const links = this.#unflushed;
    this.#unflushed = [];
    for (const link of links) link.flush();
  };

  #overdue(link: Link<Context>): void {
    if (!link.isOpen) return;
    try {
      if (this.handlers.onDeadline === undefined) link.destroy();
      else this.handlers.onDeadline(link);
    } catch (cause) {
      this.log.error({ err: cause }, 'a deadline could not be handled; the connection is cut');
      link.destroy();
    }
  }
}
