import { EverywireError, toEverywireError, checkChannel } from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Notice } from '../../core/seams/sink.ts';
import type { Admission, IoApplication, IoEvent } from './application.ts';
import type { EngineSession } from './engine/handlers.ts';
import { IoConnection } from './io-connection.ts';
import type { IoServer, Persistence } from './io-server.ts';
import type { IoSocket } from './io-socket.ts';
import { PollSession } from './poll-session.ts';
import { SessionRecords } from './records.ts';
import { isCursor } from './commands.ts';
import { IoSession, type SessionParts } from './session.ts';
import { deliveriesOf } from './format.ts';
import type { SocketIoHost } from './limits.ts';

const name = 'socketio';
/** How many namespaces have remembered formats; others make new ones. */
const partsMax = 1_000;
const sidBytes = 15;

/** The session of an admitted peer: a new one, or one that it came back to. */
interface Admitted {
  readonly session: IoSession;
  readonly isBack: boolean;
  /** Notices that the peer gets before all other events. */
  readonly notices: readonly Notice[];
}

/**
 * The server's own application: a namespace is a part of the channel space, and a session resumes from the log. The
 * durable state, and why no more is needed:
 *
 * - Over WebSocket a client keeps its position itself, as the last argument of the last event, and comes back with it. So
 *   the server writes only the filters that the client follows, before it answers the command to follow.
 * - A client that polls continues the same session after a kill of the server between two polls. So the server writes the
 *   session before it answers the handshake. It writes the new position before a poll's answer leaves. And it writes the
 *   effect of a POST, with the acknowledgements that no poll has carried yet, before it answers the POST. A client whose
 *   request failed never uses that session again: it makes a new one, and recovers as over WebSocket. A client whose
 *   request was answered has the content of the answer.
 */
export class EverywireApplication implements IoApplication<IoSession> {
  readonly persistence: Persistence<IoSession>;
  readonly #host: SocketIoHost;
  readonly #drainCode: number;
  readonly #records: SessionRecords;
  readonly #parts = new Map<string, SessionParts>();
  /** The identity of the credentials in the handshake of an Engine.IO session. */
  readonly #byHandshake = new WeakMap<object, Promise<Identity>>();
  readonly #admitted = new WeakMap<IoSocket<IoSession>, Admitted>();
  /** The connections that poll. */
  readonly #polls = new WeakMap<IoConnection<IoSession>, PollSession>();
  #server!: IoServer<IoSession>;

  constructor(host: SocketIoHost, drainCode: number) {
    this.#host = host;
    this.#drainCode = drainCode;
    const { hub, limits, random } = host;
    this.#records = new SessionRecords({ durable: hub.durable, limits, random });
    this.persistence = {
      beforeHandshake: ({ context }) => {
        const poll = new PollSession(context, this.#records);
        this.#polls.set(context, poll);
        return poll.begin();
      },
      beforeAnswer: ({ context }) => this.#polls.get(context)?.beforeAnswer(),
      afterPost: (connection) => this.#polls.get(connection)?.afterPost(),
      upgraded: ({ context }) => {
        this.#polls.get(context)?.upgraded();
        this.#polls.delete(context);
      },
      restore: (engine) => this.#restore(engine),
      cameBy: ({ context }, connection) => {
        for (const { state } of context.connected) this.#host.hub.recognize(connection, state.identity);
      },
      closed: (connection) => this.#connectionClosed(connection),
    };
  }

  /** Called once, before anything else. */
  async begin(server: IoServer<IoSession>): Promise<void> {
    this.#server = server;
    await this.#records.start();
  }

  /** Called once all connections have ended. */
  async stop(): Promise<void> {
    await this.#records.stop();
  }

  async connect(
    socket: IoSocket<IoSession>,
    auth: Readonly<Record<string, unknown>>,
  ): Promise<Admission<IoSession>> {
    const { hub } = this.#host;
    const parts = this.#partsOf(socket.ioNamespace);
    const { token, ticket, after, pid, offset } = auth;
    if (hub.isDraining)
      throw new EverywireError(
        'going_away',
        'The server is stopping. Reconnect later, or to another server.',
      );
    if (!isTextOrNothing(token) || !isTextOrNothing(ticket)) {
      throw new EverywireError('unauthorized', 'token and ticket must be strings.');
    }
    if (after !== undefined && after !== null && !isCursor(after)) {
      throw new EverywireError('bad_cursor', '`after` is not a valid cursor.');
    }
    const identity = await this.#identify(socket, token ?? undefined, ticket ?? undefined);
    const admitted =
      (typeof pid === 'string' ? await this.#comeBack(socket, parts, identity, pid, offset) : undefined) ??
      (await this.#makeSession(socket, parts, identity, after ?? undefined));
    const { session } = admitted;
    // Another connection may have come back to it while this one did.
    if (!socket.engine.isOpen || !session.isKept) {
      void session.ended('lost');
      throw new EverywireError('going_away', 'The connection ended before it was admitted.');
    }
    this.#admitted.set(socket, admitted);
    return { answer: { sid: session.sid, pid: session.pid }, state: session };
  }

  connected(socket: IoSocket<IoSession>): void {
    for (const notice of this.#admitted.get(socket)?.notices ?? []) socket.state.notify(notice);
    this.#admitted.delete(socket);
    socket.state.start();
  }

  event(socket: IoSocket<IoSession>, event: IoEvent): Promise<unknown> {
    return socket.state.receive(event);
  }

  writable(socket: IoSocket<IoSession>): void {
    socket.state.writable();
  }

  ended(socket: IoSocket<IoSession>, how: 'disconnected' | 'left' | 'lost'): undefined | Promise<void> {
    return socket.state.ended(how);
  }

  /**
   * Credentials in the CONNECT apply to its namespace. Those of the handshake apply to all namespaces whose CONNECT has
   * none; the server verifies them only once, since they may be a ticket.
   */
  async #identify(
    { engine }: IoSocket<IoSession>,
    token: string | undefined,
    ticket: string | undefined,
  ): Promise<Identity> {
    const { hub } = this.#host;
    if (token !== undefined || ticket !== undefined)
      return hub.authenticate({ ...engine.shown, token, ticket });
    let byHandshake = this.#byHandshake.get(engine);
    if (byHandshake === undefined) {
      byHandshake = hub.authenticate(engine.shown);
      this.#byHandshake.set(engine, byHandshake);
      engine.shown = { ...engine.shown, token: undefined, ticket: undefined };
      return byHandshake;
    }
    const identity = await byHandshake;
    hub.checkCurrent(identity);
    return identity;
  }

  /** `undefined`: there is no such session, or it cannot resume exactly at the peer's position. */
  async #comeBack(
    socket: IoSocket<IoSession>,
    parts: SessionParts,
    identity: Identity,
    pid: string,
    offset: unknown,
  ): Promise<Admitted | undefined> {
    const record = await this.#records.session(pid);
    const isOwn = record?.identity.subject === identity.subject && record?.ioNamespace === socket.ioNamespace;
    if (record === undefined || !isOwn) return undefined;
    if (offset !== undefined && offset !== null && !isCursor(offset)) return undefined;
    const before = this.#records.sessions.holderOf(pid);
    const session = this.#open(socket, parts, identity, { pid, sid: record.sid }, undefined);
    try {
      const gaps = await session.comeBack(offset ?? undefined);
      if (before instanceof IoSession) before.leaveGroups();
      if (gaps.length === 0) return { session, isBack: true, notices: [] };
      void session.ended('lost');
      const made = await this.#makeSession(socket, parts, identity, undefined);
      return { ...made, notices: gaps };
    } catch (caught) {
      void session.ended('lost');
      const error = toEverywireError(caught);
      if (error.code === 'internal' || error.row.comeBack === 'later') throw error;
      return undefined;
    }
  }

  async #makeSession(
    socket: IoSocket<IoSession>,
    parts: SessionParts,
    identity: Identity,
    after: string | undefined,
  ): Promise<Admitted> {
    const names = { pid: this.#records.newPid(), sid: this.#newSid() };
    const session = this.#open(socket, parts, identity, names, after);
    try {
      await session.keep();
    } catch (caught) {
      void session.ended('lost');
      throw caught;
    }
    return { session, isBack: false, notices: [] };
  }

  #open(
    socket: IoSocket<IoSession>,
    parts: SessionParts,
    identity: Identity,
    names: { readonly pid: string; readonly sid: string },
    after: string | undefined,
  ): IoSession {
    const session = new IoSession(parts, socket, names, after);
    const { address, counted } = socket.engine;
    session.begin(this.#host.hub.open(identity, { transport: name, address, counted }, session));
    return session;
  }

  /** The shared parts of a namespace. @throws EverywireError for a namespace that is not a valid channel prefix */
  #partsOf(ioNamespace: string): SessionParts {
    const known = this.#parts.get(ioNamespace);
    if (known !== undefined) return known;
    const channelPrefix = ioNamespace === '/' ? '' : `${ioNamespace.slice(1)}/`;
    try {
      checkChannel(`${channelPrefix}x`, this.#host.limits);
    } catch (cause) {
      throw new EverywireError('not_found', 'Invalid namespace', { cause });
    }
    const parts: SessionParts = {
      host: this.#host,
      records: this.#records,
      deliveries: deliveriesOf(ioNamespace),
      drainCode: this.#drainCode,
      channelPrefix,
    };
    if (this.#parts.size < partsMax) this.#parts.set(ioNamespace, parts);
    return parts;
  }

  /** Restores a session that polled another process, which may be dead. */
  async #restore(
    engine: EngineSession<IoConnection<IoSession>>,
  ): Promise<IoConnection<IoSession> | undefined> {
    // An unknown sid must not cost a lease.
    const isThere = (await this.#records.poll(engine.sid)) !== undefined;
    if (!isThere || this.#host.hub.isDraining) return undefined;
    const connection = new IoConnection(this.#server, engine);
    const poll = new PollSession(connection, this.#records);
    let waiting: readonly string[];
    const opened: IoSession[] = [];
    const back: { readonly socket: IoSocket<IoSession>; readonly gaps: readonly Notice[] }[] = [];
    try {
      const state = await poll.comeBack();
      if (state === undefined) throw gone();
      waiting = state.waiting;
      for (const [ioNamespace, pid, cursor] of state.sockets) {
        const record = await this.#records.session(pid);
        if (record === undefined || this.#records.sessions.isOpen(pid)) throw gone();
        // The peer sends only the session id, so the stored identity is checked again.
        this.#host.hub.checkCurrent(record.identity);
        const socket = connection.adopt(ioNamespace);
        const parts = this.#partsOf(ioNamespace);
        const session = this.#open(socket, parts, record.identity, { pid, sid: record.sid }, undefined);
        socket.state = session;
        opened.push(session);
        const gaps = await session.comeBack(cursor ?? undefined);
        back.push({ socket, gaps });
      }
    } catch (caught) {
      for (const session of opened) void session.ended('lost');
      poll.release();
      const error = toEverywireError(caught);
      if (error.code === 'internal' || error.row.comeBack === 'later') throw error;
      return undefined;
    }
    engine.context = connection;
    engine.restoreWaiting(waiting);
    this.#polls.set(connection, poll);
    this.#server.restored(connection);
    for (const { socket, gaps } of back) {
      socket.stage = 'connected';
      for (const gap of gaps) socket.state.notify(gap);
      socket.state.start();
    }
    return connection;
  }

  #connectionClosed(connection: IoConnection<IoSession>): undefined | Promise<void> {
    const poll = this.#polls.get(connection);
    this.#polls.delete(connection);
    if (!this.#host.hub.isDraining) return poll?.ended();
    // Open sessions stay in the rows: the next process continues from them.
    poll?.release();
    return undefined;
  }

  #newSid(): string {
    return Buffer.from(this.#host.random.hex(sidBytes), 'hex').toString('base64url');
  }
}

function gone(): EverywireError {
  return new EverywireError('not_found', 'The session is gone, or continues on another connection.');
}

function isTextOrNothing(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === 'string';
}
