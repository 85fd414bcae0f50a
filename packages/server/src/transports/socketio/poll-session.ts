import { EverywireError } from '@everywire/protocol';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import type { IoConnection } from './io-connection.ts';
import { removed, type PollState, type SessionRecords } from './records.ts';
import type { IoSession } from './session.ts';

const none: readonly SubscriptionProgress[] = [];

/** The row of a connection that polls: another process continues from it if that process gets the next request. */
export class PollSession implements DurableHolder {
  readonly #connection: IoConnection<IoSession>;
  readonly #records: SessionRecords;
  #durable: DurableSession | undefined;
  /** The state of the last write, to see whether there is anything to write. */
  #state: PollState = { sockets: [], waiting: [] };
  #hasEnded = false;

  constructor(connection: IoConnection<IoSession>, records: SessionRecords) {
    this.#connection = connection;
    this.#records = records;
  }

  /** Before the handshake is answered. */
  async begin(): Promise<void> {
    await this.#open();
    await this.#save([]);
  }

  /** Takes the row from its present owner, without a write. `undefined`: there is no row. */
  async comeBack(): Promise<PollState | undefined> {
    const state = await this.#open();
    if (state === undefined) return undefined;
    this.#state = state;
    this.#durable!.adopt();
    return state;
  }

  /** Before a poll's answer leaves: writes the position that the peer has with this answer. */
  beforeAnswer(): undefined | Promise<void> {
    const { connected } = this.#connection;
    if (this.#state.waiting.length === 0 && !connected.some(({ state }) => state.hasNews)) return undefined;
    for (const { state } of connected) state.hasNews = false;
    return this.#save(this.#connection.engine.waitingPackets, true);
  }

  /** Before a POST is answered: writes its effects that no poll has carried yet. */
  afterPost(): undefined | Promise<void> {
    const { connected, engine } = this.#connection;
    const waiting = engine.waitingPackets;
    if (waiting.length === 0 && this.#state.sockets.length === connected.length) return undefined;
    return this.#save(waiting);
  }

  /** It polls no more: its peer keeps its position itself from now on. */
  upgraded(): void {
    this.#durable?.removeSoon();
  }

  /** Its row is removed. Never rejects. */
  ended(): undefined | Promise<void> {
    this.#hasEnded = true;
    return this.#durable && removed(this.#durable);
  }

  /** Its row stays. */
  release(): void {
    this.#hasEnded = true;
    this.#durable?.release();
  }

  subscriptions(): readonly SubscriptionProgress[] {
    return none;
  }

  state(): PollState {
    return this.#state;
  }

  /** Answers a waiting poll without messages; the next poll reaches the new owner of the session. */
  lost(): undefined {
    this.#connection.engine.end('lost');
  }

  async #open(): Promise<PollState | undefined> {
    const { session, found } = await this.#records.openPoll(this.#connection.engine.sid, this);
    this.#durable = session;
    if (this.#hasEnded) {
      session.release();
      throw new EverywireError('going_away', 'The connection ended before the session was opened.');
    }
    return found?.state;
  }

  /** `isAnswer`: the answer carries everything that was sent so far. */
  #save(waiting: readonly string[], isAnswer = false): Promise<void> {
    const before = this.#state.sockets;
    const sockets = this.#connection.connected.map(({ ioNamespace, state }) => {
      const known = before.find(([name]) => name === ioNamespace);
      const cursor = isAnswer ? state.polledCursor : known === undefined ? state.cameWith : known[2];
      return [ioNamespace, state.pid, cursor ?? null] as const;
    });
    this.#state = { sockets, waiting };
    return this.#durable!.save();
  }
}
