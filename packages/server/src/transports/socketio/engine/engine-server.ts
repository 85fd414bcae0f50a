import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { EverywireError } from '@everywire/protocol';
import type { Origins } from '../../../http/origin.ts';
import type { Credentials } from '../../../core/sessions/access.ts';
import type { Clock, Random } from '../../../core/clock.ts';
import type { SocketIoLimits } from '../limits.ts';
import type { Log } from '../../../core/seams/log.ts';
import { CrossOrigin } from '../../../http/cross-origin.ts';
import { peerOf } from '../../../http/peer.ts';
import { connectionKey } from '../../../net/guard.ts';
import { completeHandshake, readHandshake } from '../../../websocket/accept.ts';
import { PeerGroup } from '../../../websocket/peer-group.ts';
import { openPacket, type EngineHandshake } from '@everywire/wires/socketio';
import { answer, answerProblem, refuse, refuseUpgrade } from './answers.ts';
import { readAsked, type Asked } from './asked.ts';
import { Deadlines } from './deadlines.ts';
import { EngineSocket, type EngineSocketHost } from './engine-socket.ts';
import type { EngineHandlers } from './handlers.ts';
import { takePost, type Exchange } from './posting.ts';
import { refusals, type Refusal } from './refusals.ts';
import { Upgrade, type UpgradeHost } from './upgrade.ts';
import { sideHandlers, type WebSocketSide } from './websocket-side.ts';
import { refusalOf } from '../../parts/refusal.ts';

export interface EngineOptions<Context> {
  readonly handlers: EngineHandlers<Context>;
  readonly limits: SocketIoLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Origins whose pages may connect, beside this server's own; absent: any. */
  readonly allowedOrigins?: Origins | undefined;
  /** A cookie may be the credentials of the request that opens a session. */
  readonly takesCookies?: boolean | undefined;
  /** Largest message and largest body of a POST, in bytes. */
  readonly payloadBytesMax: number;
  /** The limit until a session is trusted; absent: sessions are trusted from the start. */
  readonly untrustedBytesMax?: number | undefined;
  /** The credentials of the request that opens a session; absent: its address. */
  readonly credentialsOf?: ((request: IncomingMessage) => Credentials) | undefined;
  readonly pingIntervalMs?: number;
  readonly pingTimeoutMs?: number;
}

/** The usual value of Engine.IO servers, as in the documentation of the clients. */
const pingIntervalMsDefault = 25_000;
const pingTimeoutMsDefault = 20_000;
/** A poll during an upgrade is answered after this time, or the peer could not finish polling. */
const upgradingPollMs = 100;
/** 15 bytes in base64url: as long as the ids of other servers. */
const sidBytes = 15;
const sidShape = /^[A-Za-z0-9_-]{20}$/;
const restoringMax = 256;

/** Engine.IO 4: sessions over HTTP long polling and WebSocket. It owns no port: the owner of the port passes requests to it. */
export class EngineServer<Context> implements EngineSocketHost<Context>, UpgradeHost<Context> {
  readonly handlers: EngineHandlers<Context>;
  readonly limits: SocketIoLimits;
  readonly payloadBytesMax: number;
  readonly #options: EngineOptions<Context>;
  readonly #crossOrigin: CrossOrigin;
  readonly #origins: Origins | undefined;
  readonly #sockets = new Map<string, EngineSocket<Context>>();
  readonly #restoring = new Map<string, Promise<EngineSocket<Context> | undefined>>();
  readonly #ending = new Set<string>();
  readonly #peers: PeerGroup<WebSocketSide>;
  readonly #pings: Deadlines<EngineSocket<Context>>;
  readonly #pongs: Deadlines<EngineSocket<Context>>;
  readonly #upgrades: Deadlines<Upgrade<Context>>;
  readonly #upgradingPolls: Deadlines<EngineSocket<Context>>;
  readonly #handshake: Omit<EngineHandshake, 'sid' | 'upgrades'>;
  #unflushed: EngineSocket<Context>[] = [];

  constructor(options: EngineOptions<Context>) {
    const { clock, limits, log, payloadBytesMax } = options;
    this.handlers = options.handlers;
    this.limits = limits;
    this.payloadBytesMax = payloadBytesMax;
    this.#options = options;
    this.#crossOrigin = new CrossOrigin(options.allowedOrigins, options);
    this.#origins = options.allowedOrigins;
    const pingIntervalMs = options.pingIntervalMs ?? pingIntervalMsDefault;
    const pingTimeoutMs = options.pingTimeoutMs ?? pingTimeoutMsDefault;
    this.#handshake = { pingIntervalMs, pingTimeoutMs, payloadBytesMax };
    this.#peers = new PeerGroup({
      handlers: sideHandlers,
      limits,
      clock,
      log,
      messageBytesMax: payloadBytesMax,
      firstMessageBytesMax: options.untrustedBytesMax,
    });
    this.#pings = new Deadlines(clock, pingIntervalMs, (socket) => socket.ping());
    this.#pongs = new Deadlines(clock, pingTimeoutMs, (socket) => socket.close(1000, 'ping timeout'));
    this.#upgrades = new Deadlines(clock, limits.handshakeTimeoutMs, (upgrade) => upgrade.giveUp());
    this.#upgradingPolls = new Deadlines(clock, upgradingPollMs, (socket) => {
      if (socket.isUpgrading) socket.releasePoll();
    });
  }

  get size(): number {
    return this.#sockets.size;
  }

  [Symbol.iterator](): Iterator<EngineSocket<Context>> {
    return this.#sockets.values();
  }

  get(sid: string): EngineSocket<Context> | undefined {
    return this.#sockets.get(sid);
  }

  /** Answers a request to this engine's path that does not ask for WebSocket. Never rejects. */
  async handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#serve(request, response);
    } catch (caught) {
      const error = refusalOf(caught, this.#options.log, 'an Engine.IO request failed');
      const headers = this.#crossOrigin.fieldsOf(request);
      if (error.code === 'forbidden') refuse(response, refusals.forbidden, headers);
      else if (error.code === 'malformed' || error.code === 'invalid')
        refuse(response, refusals.badRequest, headers);
      else answerProblem(response, error, headers);
    }
  }

  /** Answers a WebSocket handshake on this engine's path. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    let asked: Asked | Refusal;
    try {
      asked = readAsked(request);
    } catch {
      asked = refusals.badRequest;
    }
    if ('code' in asked) {
      refuseUpgrade(socket, asked);
      return;
    }
    const known = asked.sid === undefined ? undefined : this.#sockets.get(asked.sid);
    if (asked.sid !== undefined && known === undefined) {
      void this.#restoreAndUpgrade(asked.sid, request, socket, head);
      return;
    }
    this.#openWebSocket(known, request, socket, head);
  }

  /** Ends all sessions; WebSockets with `code`. */
  close(code: number, reason: string): void {
    for (const socket of this.#sockets.values()) socket.close(code, reason);
    for (const peer of this.#peers) peer.close(code, reason);
  }

  /** Cuts the remaining connections. */
  destroy(): void {
    for (const peer of this.#peers) peer.destroy();
  }

  /** Resolves when no WebSocket is open any more. */
  emptied(): Promise<void> {
    return this.#peers.emptied();
  }

  flushSoon(socket: EngineSocket<Context>): void {
    if (this.#unflushed.push(socket) === 1) process.nextTick(this.#flush);
  }

  pinged(socket: EngineSocket<Context>): void {
    if (!this.#pongs.has(socket)) this.#pongs.set(socket);
  }

  ponged(socket: EngineSocket<Context>): void {
    this.#pongs.delete(socket);
    this.#pings.set(socket);
  }

  closed(socket: EngineSocket<Context>, how: 'left' | 'lost'): void {
    this.#sockets.delete(socket.sid);
    this.#pings.delete(socket);
    this.#pongs.delete(socket);
    this.#upgradingPolls.delete(socket);
    if (socket.context === undefined) return;
    const goodbye = this.handlers.closed(socket, how);
    if (goodbye === undefined) return;
    socket.goodbye = goodbye;
    // Until the end is complete, a request could still find the session; it must not come back.
    this.#ending.add(socket.sid);
    void goodbye.then(() => this.#ending.delete(socket.sid));
  }

  upgradeSettled(upgrade: Upgrade<Context>): void {
    this.#upgrades.delete(upgrade);
  }

  failed(response: ServerResponse, headers: Readonly<Record<string, string>>, cause: unknown): void {
    this.#options.log.warn({ err: cause }, 'a poll could not be answered');
    answer(response, 503, { ...headers, 'Retry-After': '1' }, '');
  }

  readonly #flush = (): void => {
    const sockets = this.#unflushed;
    this.#unflushed = [];
    for (const socket of sockets) socket.flush();
  };

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request;
    if (method === 'OPTIONS') {
      const headers = { Allow: 'GET, POST, OPTIONS', ...this.#crossOrigin.preflight(request) };
      response.writeHead(204, headers).end();
      return;
    }
    const headers = this.#crossOrigin.headersFor(request);
    const asked = readAsked(request);
    if ('code' in asked) {
      refuse(response, asked, headers);
      return;
    }
    const { sid } = asked;
    if (sid === undefined) {
      if (method !== 'GET') refuse(response, refusals.badMethod, headers);
      else if (asked.transport === 'websocket') refuse(response, refusals.badRequest, headers);
      else await this.#openPolling(request, response, headers);
      return;
    }
    const socket = this.#sockets.get(sid) ?? (await this.#restore(sid, request));
    if (socket !== undefined) this.#cameBy(socket, request);
    if (socket === undefined) refuse(response, refusals.unknownSid, headers);
    else if (asked.transport !== socket.kind) refuse(response, refusals.badRequest, headers);
    else if (method === 'GET') this.#takePoll(socket, response, headers);
    else if (method === 'POST') await this.#takePost(socket, { request, response, headers });
    else answer(response, 405, { ...headers, Allow: 'GET, POST, OPTIONS' }, '');
  }

  async #openPolling(
    request: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const socket = this.#make(this.#newSid(), this.#shownBy(request));
    socket.context = this.handlers.open(socket);
    await this.handlers.beforeHandshake?.(socket);
    if (response.destroyed) {
      this.closed(socket, 'lost');
      return;
    }
    this.#add(socket);
    answer(response, 200, headers, this.#openPacket(socket, ['websocket']));
  }

  #takePoll(
    socket: EngineSocket<Context>,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): void {
    if (!socket.takePoll({ response, headers })) {
      socket.close();
      refuse(response, refusals.badRequest, headers);
      return;
    }
    if (socket.isUpgrading && socket.isPolled) this.#upgradingPolls.set(socket);
  }

  #takePost(socket: EngineSocket<Context>, exchange: Exchange): Promise<void> {
    const { limits, clock, untrustedBytesMax = this.payloadBytesMax } = this.#options;
    const bytesMax = socket.isTrusted ? this.payloadBytesMax : untrustedBytesMax;
    const afterPost = this.handlers.afterPost?.bind(this.handlers);
    return takePost(socket, exchange, { bytesMax, limits, clock, afterPost });
  }

  async #restoreAndUpgrade(
    sid: string,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    const known = await this.#restore(sid, request).catch(() => undefined);
    socket.off('error', ignore);
    if (socket.destroyed) return;
    if (known === undefined) refuseUpgrade(socket, refusals.unknownSid);
    else this.#openWebSocket(known, request, socket, head);
  }

  #openWebSocket(
    known: EngineSocket<Context> | undefined,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): void {
    const shown = this.#shownOrRefused(request, socket);
    if (shown === undefined) return;
    const handshake = readHandshake(request, socket, { allowedOrigins: this.#origins });
    if (handshake === undefined) return;
    const group = this.#peers;
    if (known !== undefined) {
      const upgrade = new Upgrade(this, known);
      const isFree = known.kind === 'polling' && !known.isUpgrading;
      upgrade.peer = completeHandshake(socket, head, handshake, { group, context: upgrade });
      if (!isFree) {
        upgrade.refuse();
        return;
      }
      known.isUpgrading = true;
      this.#upgrades.set(upgrade);
      return;
    }
    const opened = this.#make(this.#newSid(), shown);
    const peer = completeHandshake(socket, head, handshake, { group, context: opened });
    opened.openedBy(peer);
    peer.sendText(this.#openPacket(opened, []));
    opened.context = this.handlers.open(opened);
    this.#add(opened);
  }

  #shownOrRefused(request: IncomingMessage, socket: Duplex): Credentials | undefined {
    try {
      return this.#shownBy(request);
    } catch {
      refuseUpgrade(socket, refusals.badRequest);
      return undefined;
    }
  }

  #make(sid: string, shown: Credentials): EngineSocket<Context> {
    const socket = new EngineSocket(this, sid, shown);
    if (this.#options.untrustedBytesMax === undefined) socket.trust();
    return socket;
  }

  /** @throws EverywireError `malformed` */
  #shownBy(request: IncomingMessage): Credentials {
    const { address } = peerOf(request);
    const shown = this.#options.credentialsOf?.(request) ?? { token: undefined, address };
    return { ...shown, connection: connectionKey(request.socket) };
  }

  /** A peer that polls uses several connections, and each shows only the session id. */
  #cameBy(socket: EngineSocket<Context>, request: IncomingMessage): void {
    const connection = connectionKey(request.socket);
    if (connection === undefined || connection === socket.shown.connection) return;
    socket.shown = { ...socket.shown, connection };
    this.handlers.cameBy?.(socket, connection);
  }

  #add(socket: EngineSocket<Context>): void {
    this.#sockets.set(socket.sid, socket);
    this.#pings.set(socket);
  }

  /** Two requests of one session may come at the same time; the session is restored once. */
  async #restore(sid: string, request: IncomingMessage): Promise<EngineSocket<Context> | undefined> {
    if (this.handlers.restore === undefined || !sidShape.test(sid) || this.#ending.has(sid)) return undefined;
    let restoring = this.#restoring.get(sid);
    if (restoring === undefined) {
      if (this.#restoring.size >= restoringMax) {
        throw new EverywireError('rate_limited', 'Too many sessions come back at the same time.');
      }
      const socket = this.#make(sid, this.#shownBy(request));
      restoring = this.handlers
        .restore(socket)
        .then((context) => {
          if (context === undefined) return undefined;
          socket.context = context;
          this.#add(socket);
          return socket;
        })
        .finally(() => this.#restoring.delete(sid));
      this.#restoring.set(sid, restoring);
    }
    return restoring;
  }

  #openPacket(socket: EngineSocket<Context>, upgrades: readonly string[]): string {
    return openPacket({ sid: socket.sid, upgrades, ...this.#handshake });
  }

  #newSid(): string {
    return Buffer.from(this.#options.random.hex(sidBytes), 'hex').toString('base64url');
  }
}
