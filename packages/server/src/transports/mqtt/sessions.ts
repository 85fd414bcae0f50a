import { EverywireError } from '@everywire/protocol';
import { hash } from 'node:crypto';
import type { Identity } from '../../core/sessions/access.ts';
import type { RecordWrite } from '../../core/seams/store.ts';
import { Directory, type DirectoryEntry } from './directory.ts';
import { SessionRecords, type Saved } from './records.ts';
import {
  encodeHead,
  neverExpires,
  restore,
  subscriptionsOf,
  tables,
  type Head,
  type Presence,
} from './rows.ts';
import { SessionState } from './state.ts';
import { publishWill } from './wills.ts';
import type { Version, Will } from '@everywire/wires/mqtt';
import type { MqttHost } from './limits.ts';

/** What a CONNECT asks of its session. */
export interface OpenRequest<Connection> {
  readonly connection: Connection;
  readonly clientId: string;
  readonly identity: Identity;
  readonly version: Version;
  readonly cleanStart: boolean;
  readonly expirySeconds: number;
  readonly will: Will | undefined;
}

/** A session that a connection has open. */
export class OpenSession<Connection> implements Saved {
  readonly key: string;
  readonly clientId: string;
  /** Another one after AUTH. */
  identity: Identity;
  readonly version: Version;
  readonly connection: Connection;
  readonly state = new SessionState();
  /** DISCONNECT may change it (§3.14.2.2.2). */
  expirySeconds: number;
  /** It was kept at some time, and the groups it is a member of with it. */
  holdsGroups: boolean;
  /** DISCONNECT takes it back [MQTT-3.14.4-3]. */
  will: Will | undefined;

  constructor(key: string, request: OpenRequest<Connection>) {
    this.key = key;
    this.connection = request.connection;
    this.clientId = request.clientId;
    this.identity = request.identity;
    this.version = request.version;
    this.expirySeconds = request.expirySeconds;
    this.holdsGroups = request.expirySeconds > 0;
    this.will = request.will;
  }

  /** It outlives its connection, so what it is told is durable before the client is told that it is. */
  get isPersistent(): boolean {
    return this.expirySeconds > 0;
  }
}

export interface SessionsOptions<Connection> {
  readonly host: MqttHost;
  /** Ends a connection whose session somebody else opens. Resolves when nothing it published is under way. */
  readonly takeOver: (connection: Connection) => Promise<void>;
}

/** How a session is closed. */
export interface Closing {
  /** The server sends its clients away, to come back when it is there again. */
  readonly isDrain?: boolean;
  /** Somebody else opened it. */
  readonly takenOver?: { readonly cleanStart: boolean };
}

/** Before what could not be written is tried again. */
const retryMs = 5_000;

/**
 * The sessions of the broker: opened, taken over, left, expired, and their wills. The rows say at any moment what
 * a restart has to go on from.
 */
export class Sessions<Connection extends { opened: OpenSession<Connection> | undefined }> {
  readonly records: SessionRecords;
  readonly #host: MqttHost;
  readonly #takeOver: (connection: Connection) => Promise<void>;
  readonly #directory: Directory<Connection>;
  /** Stored sessions by the group (`$share/<group>/<filter>`) that waits for them. */
  readonly #groups = new Map<string, number>();
  #isStopped = false;

  constructor({ host, takeOver }: SessionsOptions<Connection>) {
    this.#host = host;
    this.#takeOver = takeOver;
    this.records = new SessionRecords(host.records, host.clock, host.log);
    this.#directory = new Directory({ clock: host.clock, onDue: (entry) => void this.#due(entry) });
  }

  /** Sessions that outlive their connections, or whose wills do. */
  get stored(): number {
    return this.#directory.stored;
  }

  /** Finds what an earlier process left behind. */
  async start(): Promise<void> {
    const { hub, limits, clock, log } = this.#host;
    const nowMs = clock.nowMs();
    const broken: RecordWrite[] = [];
    let count = 0;
    for await (const [key, head] of this.records.heads()) {
      count += 1;
      for (const name of groupsOf(head.subscriptions)) this.holdGroup(name);
      const { presence, expirySeconds, will } = head;
      const willDelaySeconds = delayOf(will, expirySeconds);
      let agoMs = 0;
      let willMs = willDelaySeconds * 1_000;
      if (presence.kind === 'away') {
        agoMs = Math.max(0, nowMs - presence.sinceMs);
      } else {
        const since = { kind: 'away', sinceMs: nowMs } as const;
        const maybeSentThroughSeq = presence.kind === 'here' ? hub.head.seq : head.maybeSentThroughSeq;
        broken.push(headWrite(key, { ...head, presence: since, maybeSentThroughSeq }));
        // Whom the server sent away is given the time to come back before the world is told that it is gone.
        if (presence.kind === 'drained') willMs = Math.max(willMs, 2 * limits.retryAfterMs);
      }
      await this.#directory.exclusively(key, async (entry) => {
        this.#directory.keep(entry, head.subject);
        const expiryMs =
          expirySeconds === neverExpires ? undefined : Math.max(0, expirySeconds * 1_000 - agoMs);
        this.#directory.away(entry, expiryMs, will && Math.max(0, willMs - agoMs));
      });
      if (broken.length >= 1_000) await this.records.write(broken.splice(0));
    }
    await this.records.write(broken);
    if (count > 0) log.debug({ count }, 'MQTT sessions were found');
  }

  /**
   * Opens the session of a client: the one it left, or a new one. What is said of it in the CONNACK is durable by then.
   * @throws EverywireError `quota_exceeded`, `store_unavailable`
   */
  async open(
    request: OpenRequest<Connection>,
  ): Promise<{ readonly session: OpenSession<Connection>; readonly isPresent: boolean }> {
    const key = sessionKey(request.identity, request.clientId);
    return this.#directory.exclusively(key, async (entry) => {
      const { cleanStart, expirySeconds, will } = request;
      const before = entry.connection?.opened;
      if (before !== undefined) {
        await this.#takeOver(before.connection);
        await this.#finish(entry, before, { takenOver: { cleanStart } });
      }
      const session = new OpenSession(key, request);
      const writes: RecordWrite[] = [];
      let isPresent = false;
      if (entry.isStored) {
        const stored = await this.records.load(key);
        if (stored !== undefined && !cleanStart && entry.expiresAtMs > this.#host.clock.monotonicMs()) {
          restore(session.state, stored.head, stored.window, stored.received);
          session.holdsGroups = true;
          isPresent = true;
        } else {
          // The session that was there ends here, and with it the delay of its will (§3.1.2.5).
          await this.#end(entry, stored && { ...stored.head, identity: identityOf(stored.head) });
        }
      }
      if (expirySeconds > 0 || will !== undefined) {
        const isNew = !entry.isStored;
        // Counted before it is written: many that come at once would all find room.
        if (isNew) this.#takePlace(entry, request.identity);
        writes.push(this.headWrite(session, { kind: 'here' }));
        if (!isPresent) writes.push(this.records.windowWrite(session));
        try {
          await this.records.write(writes);
        } catch (cause) {
          if (isNew) this.#directory.drop(entry);
          throw cause;
        }
      } else if (entry.isStored) {
        // It was to be kept, and is to end with this connection.
        await this.records.write(await this.records.removal(key));
        this.#directory.drop(entry);
      }
      this.#directory.back(entry);
      // Both at once: whoever opens it next finds them.
      entry.connection = request.connection;
      request.connection.opened = session;
      return { session, isPresent };
    });
  }

  /** The connection is gone; nothing that it published is under way any more. */
  async close(session: OpenSession<Connection>, closing: Closing): Promise<void> {
    await this.#directory.exclusively(session.key, async (entry) => {
      if (entry.connection === session.connection) await this.#finish(entry, session, closing);
    });
  }

  /** Resolves when every session that was closed is saved. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#directory.idle();
  }

  /** The row that says who it is. */
  headWrite(session: OpenSession<Connection>, presence: Presence): RecordWrite {
    return headWrite(session.key, {
      clientId: session.clientId,
      subject: session.identity.subject,
      grant: session.will && grantOf(session.identity),
      version: session.version,
      expirySeconds: session.expirySeconds,
      presence,
      will: session.will,
      maybeSentThroughSeq: 0,
      subscriptions: subscriptionsOf(session.state),
    });
  }

  /** The will is gone for good when this resolves. */
  async withdrawWill(session: OpenSession<Connection>): Promise<void> {
    await this.records.write([this.headWrite(session, { kind: 'here' })]);
  }

  /** The client has shown another token: its will is judged by that one, and what it does not allow is gone. */
  async refreshed(session: OpenSession<Connection>, identity: Identity): Promise<void> {
    session.identity = identity;
    if (session.isPersistent) await this.save(session);
    else if (session.will !== undefined)
      await this.records.write([this.headWrite(session, { kind: 'here' })]);
  }

  /** A group waits for a session that is kept. */
  holdGroup(name: string): void {
    this.#groups.set(name, (this.#groups.get(name) ?? 0) + 1);
  }

  /** With the last of them the group's place is forgotten. */
  letGoOfGroup(name: string): void {
    const held = (this.#groups.get(name) ?? 1) - 1;
    if (held > 0) {
      this.#groups.set(name, held);
      return;
    }
    this.#groups.delete(name);
    this.#host.hub.forgetGroup(name);
  }

  /** What a session is becomes durable: its subscriptions, and where they stand. */
  async save(session: OpenSession<Connection>): Promise<void> {
    if (!session.isPersistent) return;
    this.records.forget(session);
    await this.records.write([this.headWrite(session, { kind: 'here' }), this.records.windowWrite(session)]);
  }

  /** @throws EverywireError `quota_exceeded` */
  #takePlace(entry: DirectoryEntry<Connection>, identity: Identity): void {
    const { sessionsMax, sessionsPerSubjectMax } = this.#host.limits;
    if (this.#directory.stored >= sessionsMax) {
      throw new EverywireError('quota_exceeded', `The broker keeps at most ${sessionsMax} sessions.`);
    }
    this.#directory.checkShare(identity, sessionsPerSubjectMax);
    this.#directory.keep(entry, identity.subject);
  }

  async #finish(
    entry: DirectoryEntry<Connection>,
    session: OpenSession<Connection>,
    closing: Closing,
  ): Promise<void> {
    const { clock, log } = this.#host;
    const { expirySeconds } = session;
    const { takenOver, isDrain } = closing;
    entry.connection = undefined;
    this.records.forget(session);
    const delaySeconds = delayOf(session.will, expirySeconds);
    // Who comes back before the delay is over was never away (§3.1.3.2.2).
    if (takenOver?.cleanStart === false && delaySeconds > 0) session.will = undefined;
    try {
      if (!session.isPersistent) {
        await this.#end(entry, {
          will: session.will,
          identity: session.identity,
          subscriptions: session.holdsGroups ? subscriptionsOf(session.state) : [],
        });
        return;
      }
      const { will } = session;
      const isWillDue = will !== undefined && delaySeconds === 0 && isDrain !== true;
      if (isWillDue) session.will = undefined;
      const presence: Presence =
        isDrain === true ? { kind: 'drained' } : { kind: 'away', sinceMs: clock.nowMs() };
      const writes = [this.headWrite(session, presence), this.records.windowWrite(session)];
      if (isWillDue) await publishWill(this.#host, session.identity, will, writes);
      else await this.records.write(writes);
    } catch (cause) {
      log.error({ err: cause }, 'an MQTT session could not be saved; what was saved before holds');
    }
    const expiryMs = expirySeconds === neverExpires ? undefined : expirySeconds * 1_000;
    const willMs = session.will === undefined || isDrain === true ? undefined : delaySeconds * 1_000;
    if (session.isPersistent) this.#directory.away(entry, expiryMs, willMs);
  }

  /** Nothing is left of it but its will, if it has one. */
  async #end(
    entry: DirectoryEntry<Connection>,
    left: (Pick<Head, 'will' | 'subscriptions'> & { readonly identity: Identity }) | undefined,
  ): Promise<void> {
    const removal = entry.isStored ? await this.records.removal(entry.key) : [];
    if (left?.will !== undefined) await publishWill(this.#host, left.identity, left.will, removal);
    else await this.records.write(removal);
    for (const name of groupsOf(left?.subscriptions ?? [])) this.letGoOfGroup(name);
    this.#directory.drop(entry);
    this.#directory.back(entry);
  }

  async #due(due: DirectoryEntry<Connection>): Promise<void> {
    if (this.#isStopped) return;
    try {
      await this.#directory.exclusively(due.key, async (entry) => {
        if (entry.connection !== undefined || !entry.isStored) return;
        const nowMs = this.#host.clock.monotonicMs();
        const isExpired = entry.expiresAtMs <= nowMs;
        if (!isExpired && entry.willAtMs > nowMs) return;
        const stored = await this.records.load(entry.key);
        const identity = stored && identityOf(stored.head);
        if (isExpired || stored === undefined) {
          await this.#end(entry, stored && identity && { ...stored.head, identity });
          return;
        }
        const { will, ...rest } = stored.head;
        if (will !== undefined && identity !== undefined) {
          const without = headWrite(entry.key, { ...rest, will: undefined, grant: undefined });
          await publishWill(this.#host, identity, will, [without]);
        }
        this.#directory.willPublished(entry);
      });
    } catch (cause) {
      this.#host.log.error({ err: cause }, 'an MQTT session could not be ended; it is tried again');
      this.#directory.postpone(due, retryMs);
    }
  }
}

/** A client id belongs to who uses it: another's session is another session (T10). Hashed, since ids may be 64 KiB. */
export function sessionKey(identity: Identity, clientId: string): string {
  return hash('sha256', JSON.stringify([identity.subject ?? null, clientId]), 'base64url');
}

/** Whom the rows belong to, and what it might do when they were written: whether it still may is asked when it is done. */
function identityOf({ subject, grant }: Head): Identity {
  return { subject, isAdmin: grant?.isAdmin ?? false, claims: grant?.claims };
}

function grantOf({ isAdmin, claims }: Identity): Head['grant'] {
  return { isAdmin, claims };
}

/** The session's end is the end of the delay (§3.1.3.2.2). */
function delayOf(will: Will | undefined, expirySeconds: number): number {
  return Math.min(will?.properties.willDelayIntervalSeconds ?? 0, expirySeconds);
}

function headWrite(key: string, head: Head): RecordWrite {
  return { table: tables.head, key, value: encodeHead(head) };
}

function groupsOf(subscriptions: Head['subscriptions']): string[] {
  return subscriptions.flatMap(({ target }) => (target.isShared ? [target.filter] : []));
}
