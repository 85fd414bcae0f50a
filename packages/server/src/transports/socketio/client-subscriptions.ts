import { matches, parseCursor, parseFilter, type From } from '@everywire/protocol';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { Notice } from '../../core/seams/sink.ts';
import type { Order, Subscription } from '../../core/seams/subscription-api.ts';
import type { SocketIoLimits } from './limits.ts';
import { followed, type SessionRecord, type SessionState } from './records.ts';

/** A filter that a peer follows. */
export class ClientSubscription {
  readonly filter: string;
  /** Undefined until the hub has opened it. */
  subscription: Subscription | undefined;
  /** The peer needs nothing at or below this position, for any cursor that it comes back with. */
  floor = '';

  constructor(filter: string) {
    this.filter = filter;
  }
}

/** The peer's position when a filter started before that position. */
interface Turn {
  readonly at: string;
  /** The message at that position may match that filter too. */
  readonly isUnclear: boolean;
}

/**
 * The filters of one peer, in one order. The peer comes back with the cursor of its last message, and the floor of each
 * filter is the position below which it needs nothing.
 */
export class ClientSubscriptions {
  readonly #session: Session;
  readonly #limits: SocketIoLimits;
  readonly #order: Order;
  #all: readonly ClientSubscription[] = [];
  #turn: Turn | undefined;

  constructor(session: Session, limits: SocketIoLimits) {
    this.#session = session;
    this.#limits = limits;
    this.#order = session.order({ waitingBytesMax: limits.ioOrderBytesMax });
  }

  get count(): number {
    return this.#all.length;
  }

  /** The position of a peer without any message yet; `undefined`: it has no filter. */
  get lowestFloor(): string | undefined {
    const floors = this.#all.map(({ floor }) => floor).filter((floor) => floor !== '');
    if (floors.length === 0) return undefined;
    return floors.reduce((left, right) => (seqOf(left) <= seqOf(right) ? left : right));
  }

  /** For the row of the session. */
  get turn(): Pick<SessionState, 'turnedAt' | 'isTurnUnclear'> {
    return { turnedAt: this.#turn?.at, isTurnUnclear: this.#turn?.isUnclear };
  }

  /** For the row of the session. */
  progress(): readonly SubscriptionProgress[] {
    return this.#all.filter(({ floor }) => floor !== '').map(({ filter, floor }) => followed(filter, floor));
  }

  find(filter: string): ClientSubscription | undefined {
    return this.#all.find((one) => one.filter === filter);
  }

  /**
   * Resumes the filters of the row at the peer's cursor. Delivers nothing before `start`. Returns the gaps.
   * @param unlessDenied resolves with nothing for a filter that the peer may no longer follow
   */
  async resume(
    { follows, turnedAt, isTurnUnclear }: SessionRecord,
    cursor: string | undefined,
    unlessDenied: <T>(name: string, started: Promise<T>) => Promise<T | undefined>,
  ): Promise<readonly Notice[]> {
    const isAtTurn = cursor !== undefined && cursor === turnedAt;
    if (turnedAt !== undefined) this.#turn = { at: turnedAt, isUnclear: isTurnUnclear === true };
    const gaps: Notice[] = [];
    await Promise.all(
      follows.map(async ([filter, floor]) => {
        const one = new ClientSubscription(filter);
        one.floor = floor;
        this.#all = [...this.#all, one];
        const after = isAtTurn ? floor : laterOf(floor, cursor);
        const subscription = await unlessDenied(filter, this.#subscribe(one, { after }));
        if (subscription === undefined) {
          this.stop(one);
          return;
        }
        for (const gap of subscription.startGaps) gaps.push({ kind: 'gap', subscription, gap });
      }),
    );
    return gaps;
  }

  /** Opens a filter. Until it is started, it holds back messages of the other filters after its position. */
  async open(filter: string, from: From | undefined): Promise<ClientSubscription> {
    const one = new ClientSubscription(filter);
    const { startCursor } = await this.#subscribe(one, from);
    one.floor = startCursor;
    return one;
  }

  /** The same filter again replaces the earlier one, as in MQTT [MQTT-3.8.4-3]: the peer could not distinguish two of them. */
  add(opened: ClientSubscription): void {
    const before = this.find(opened.filter);
    if (before !== undefined) this.stop(before);
    this.#all = [...this.#all, opened];
  }

  /**
   * A filter starts before `at`, the peer's position, so later cursors will repeat earlier ones.
   * @param channel of the message at that position, if known
   */
  turnBack({ filter }: ClientSubscription, at: string, channel: string | undefined): void {
    for (const other of this.#all) other.floor = laterOf(other.floor, at);
    const isUnclear = channel === undefined || matches(parseFilter(filter, this.#limits), channel);
    this.#turn = { at, isUnclear };
  }

  stop(one: ClientSubscription): void {
    this.#all = this.#all.filter((other) => other !== one);
    one.subscription?.cancel();
  }

  /** Starts the delivery of all filters. */
  start(): void {
    for (const { subscription } of this.#all) subscription!.start();
  }

  /** The session has ended, and its subscriptions with it. */
  clear(): void {
    this.#all = [];
  }

  async #subscribe(one: ClientSubscription, from: From | undefined): Promise<Subscription> {
    const options = { from, tag: one, order: this.#order };
    one.subscription = await this.#session.subscribe(one.filter, options);
    return one.subscription;
  }
}

export function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}

/** The later of two positions. */
export function laterOf(left: string, right: string | undefined): string {
  return right === undefined || seqOf(left) >= seqOf(right) ? left : right;
}
