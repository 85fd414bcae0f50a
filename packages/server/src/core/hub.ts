import { exactFilter, type Position } from '@everywire/protocol';
import { Caretaker } from './caretaker.ts';
import type { Clock, Random } from './clock.ts';
import { createDurableServices, type DurableServices } from './durable/services.ts';
import { closeBroken } from './fanout/close-broken.ts';
import { Dispatcher } from './fanout/dispatcher.ts';
import { createFigures } from './figures.ts';
import { Groups } from './groups/groups.ts';
import type { Limits } from './limits.ts';
import type { Namespaces } from './log/namespaces.ts';
import { Publisher } from './publish/publisher.ts';
import { Throttle } from './publish/throttle.ts';
import type { HubFront } from './seams/hub-api.ts';
import type { Log } from './seams/log.ts';
import type { Hello, Session } from './seams/session-api.ts';
import type { Sink } from './seams/sink.ts';
import type { Health, Store } from './seams/store.ts';
import type { Access, Credentials, Identity } from './sessions/access.ts';
import type { Admission } from './sessions/admission.ts';
import { Sessions } from './sessions/sessions.ts';

export interface HubOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly access: Access;
  /** Learns which connections have authenticated, for the bounds of connections. */
  readonly admission?: Admission | undefined;
  readonly namespaces: Namespaces;
  readonly limits: Limits;
  readonly log: Log;
}

export function createHub(options: HubOptions): Hub {
  return new Hub(options);
}

/** The front door of the core: puts its parts together, authenticates, and opens sessions. */
export class Hub implements HubFront {
  readonly store: Store;
  readonly durable: DurableServices;
  readonly dispatcher: Dispatcher;
  readonly groups: Groups;
  readonly figures = createFigures();
  readonly #access: Access;
  readonly #caretaker: Caretaker;
  readonly #sessions: Sessions;

  constructor(options: HubOptions) {
    const { store, clock, access, limits, log } = options;
    const { figures } = this;
    this.store = store;
    this.#access = access;
    const broken = closeBroken(log);
    const dispatcher = new Dispatcher({ ...options, figures, broken });
    const durable = createDurableServices({
      records: store.records,
      cluster: store.cluster,
      isShared: store.traits.writers === 'many',
      clock,
      log,
      headSeq: () => dispatcher.head.seq,
    });
    const isDraining = (): boolean => this.isDraining;
    const groups = new Groups({ dispatcher, clock, limits, log, durable, isDraining, broken });
    const throttle = new Throttle(limits, clock, () => (figures.rateLimited += 1));
    this.dispatcher = dispatcher;
    this.durable = durable;
    this.groups = groups;
    const forgetPages = (sinceMs: number): void => dispatcher.catchUp.forgetUnused(sinceMs);
    const sweeps = [() => groups.sweep(), () => throttle.sweep(), forgetPages];
    this.#caretaker = new Caretaker({ ...options, sweeps });
    const publisher = new Publisher({ ...options, throttle, figures });
    this.#sessions = new Sessions({ ...options, throttle, dispatcher, groups, figures, publisher });
  }

  /** Opens the store, whose feed goes to the dispatcher from here on. */
  async start(): Promise<void> {
    await this.store.open(this.dispatcher);
    this.dispatcher.start(await this.store.locate(exactFilter('-'), { kind: 'latest' }));
    await this.groups.load();
    this.#caretaker.start();
  }

  /** The transports must have ended their sessions before. */
  async stop(): Promise<void> {
    this.dispatcher.stop();
    this.#caretaker.stop();
    this.#sessions.stop();
    await this.groups.stop();
    await this.durable.saver.stop();
    await this.store.close();
  }

  /** From now on every session gets the notice `goaway`. Transports wait until their peers have gone: `Transport.drain`. */
  beginDrain(): void {
    this.#sessions.beginDrain();
  }

  get isDraining(): boolean {
    return this.#sessions.isDraining;
  }

  get head(): Position {
    return this.dispatcher.head;
  }

  health(): Health {
    return this.store.health();
  }

  authenticate(credentials: Credentials): Promise<Identity> {
    return this.#sessions.authenticate(credentials);
  }

  recognize(connection: string, identity: Identity): void {
    this.#sessions.recognize(connection, identity);
  }

  checkCurrent(identity: Identity): void {
    this.#access.checkCurrent(identity);
  }

  authorizeAdmin(identity: Identity, action: string): void {
    this.#access.authorizeAdmin(identity, action);
  }

  open(identity: Identity, hello: Hello, sink: Sink): Session {
    return this.#sessions.open(identity, hello, sink);
  }

  forgetGroup(name: string): void {
    this.groups.forget(name);
  }
}
