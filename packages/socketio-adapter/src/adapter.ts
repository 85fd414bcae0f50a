import { randomUUID } from 'node:crypto';
import {
  Adapter,
  ClusterAdapterWithHeartbeat,
  MessageType,
  type BroadcastFlags,
  type BroadcastOptions,
  type ClusterMessage,
  type ClusterResponse,
  type Room,
  type Session,
  type SocketId,
} from 'socket.io-adapter';
import type { Cluster, Member } from './cluster.ts';
import { hashOf } from './names.ts';
import { adapterLimits } from './options.ts';
import {
  decodePlain,
  decodeValue,
  decodeWhole,
  encodeCopy,
  encodePlain,
  encodeValue,
  encodeWhole,
  isFor,
  optionsOf,
  packetOf,
  type Envelope,
  type Packet,
} from './packets.ts';
import { dataOf, Recovery, type Logged } from './recovery.ts';
import { Sessions, type SessionRecord } from './sessions.ts';

/** What the adapter uses of a namespace of `socket.io`, whose adapters are given it without a type. */
export interface IoNamespace {
  readonly name: string;
  readonly sockets: Map<SocketId, IoSocket>;
  /** Made, and not connected yet: middlewares are running. */
  readonly _preConnectSockets: Map<SocketId, IoSocket>;
  readonly server: {
    readonly opts: { readonly connectionStateRecovery?: { readonly maxDisconnectionDuration?: number } };
  };
}

export interface IoSocket {
  readonly id: SocketId;
  readonly pid?: string;
  readonly connected: boolean;
  readonly rooms: Set<Room>;
  readonly data: unknown;
  readonly conn: { close(discard?: boolean): void };
  packet(packet: IoPacket): void;
  _onclose(reason: string): void;
}

interface IoPacket {
  readonly type: number;
  /** Event and arguments. */
  readonly data: unknown[];
  /** Present when the sender wants an acknowledgement, which only its process can receive. */
  readonly id?: number;
}

/** What the processes of an application tell each other beside what `socket.io-adapter` has them say. */
interface Fence {
  readonly fence: string;
  /** Sessions that are being recovered by the sender: their sockets elsewhere are dead, whatever they look like. */
  readonly sessions: readonly string[];
}

interface AckRequest {
  readonly countClients: (count: number) => void;
  readonly ack: (...args: unknown[]) => void;
}

const eventType = 2;
const cursorEvent = 'everywire.cursor';
const acksKeptMsDefault = 5_000;
/** A recovery whose session `socket.io` never made a socket of. */
const untakenMsMax = 60_000;

/**
 * Adapter of `socket.io` over a log. A broadcast is published, and given to the sockets of this process like to those of
 * all others when it comes back: all of them see one order, which is that of every other subscriber of Everywire.
 */
export class EverywireAdapter extends ClusterAdapterWithHeartbeat implements Member {
  readonly namespace: string;
  readonly #io: IoNamespace;
  readonly #cluster: Cluster;
  readonly #sessions: Sessions | undefined;
  readonly #peers = new Map<string, number>();
  readonly #acks = new Map<string, AckRequest>();
  /** Fences that are on their way, and who waits for each to come by. */
  readonly #fences = new Map<string, ((cursor: string) => void)[]>();
  #nextFence: { readonly sessions: string[]; readonly waiting: ((cursor: string) => void)[] } | undefined;
  /** Tails of the recoveries that have passed their fence. */
  readonly #tails = new Set<Logged[]>();
  /** Recovered sockets that `socket.io` has been given and does not deliver to yet. */
  readonly #arriving = new Map<SocketId, Recovery>();
  /** Place of the last packet of this namespace that was delivered. */
  #lastPacket: string | undefined;
  readonly #joinedAt = new Map<SocketId, Map<Room, string | null>>();
  readonly #hashes = new Map<SocketId, string>();
  readonly #sids = new Map<string, SocketId>();
  readonly #savedData = new Map<SocketId, string>();
  /** Sockets whose session must be saved at the end of this turn. */
  #unsaved: Set<SocketId> | undefined;
  /** Sockets whose session has gone on elsewhere. */
  readonly #superseded = new Set<SocketId>();
  #sentCursor: string | undefined;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(ioNamespace: IoNamespace, cluster: Cluster) {
    const { heartbeatEveryMs, heartbeatTimeoutMs } = cluster.options;
    super(ioNamespace, { heartbeatInterval: heartbeatEveryMs, heartbeatTimeout: heartbeatTimeoutMs });
    this.#io = ioNamespace;
    this.#cluster = cluster;
    this.namespace = cluster.names.namespace(ioNamespace.name);
    const recovery = ioNamespace.server.opts.connectionStateRecovery;
    if (recovery !== undefined) {
      this.#sessions = new Sessions({
        names: cluster.names,
        link: cluster.link,
        reader: cluster.reader,
        namespace: this.namespace,
        disconnectedMsMax: recovery.maxDisconnectionDuration ?? 120_000,
        onFailed: (detail, cause) => cluster.tell('refused', detail, cause),
      });
    }
  }

  override init(): void {
    this.#cluster.join(this);
    if (this.#sessions === undefined) return;
    this.#every(this.#cluster.options.heartbeatEveryMs, () => this.#saveChangedData());
    this.#every(adapterLimits.sweepEveryMs, () => this.#sweep());
    if (this.#cluster.options.sendCursors)
      this.#every(adapterLimits.cursorEveryMs, () => this.#sendCursors());
  }

  /** Resolves when what was published is answered. */
  // eslint-disable-next-line @typescript-eslint/no-misused-promises -- `socket.io` waits for it, as Adapter declares; only this base class does not say so
  override close(): Promise<void> {
    super.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#saveNow();
    this.#sessions?.close();
    return this.#cluster.leave(this);
  }

  /** The link is there, for the first time or again. */
  ready(): void {
    super.init();
    // Those who connected before there was a place could not be told one.
    if (this.#sessions !== undefined && this.#cluster.options.sendCursors) this.#sendCursors();
  }

  // --- Broadcasts ---------------------------------------------------------------------------------------------------

  /** @throws TypeError for arguments that JSON cannot say, as `socket.io` itself does. */
  override broadcast(packet: IoPacket, opts: BroadcastOptions): Promise<void> {
    if (opts.flags?.local === true) this.#broadcastHere(packet, opts);
    else if (packet.id !== undefined) this.#broadcastAtItsPlace(packet, opts);
    else if (this.#isVolatileToOne(opts)) this.#broadcastHere(packet, opts);
    else this.#publishPacket(packetOf(packet.data, opts));
    return Promise.resolve();
  }

  override broadcastWithAck(
    packet: IoPacket,
    opts: BroadcastOptions,
    clientCountCallback: (clientCount: number) => void,
    ack: (...args: unknown[]) => void,
  ): void {
    if (opts.flags?.local === true) {
      Adapter.prototype.broadcastWithAck.call(this, packet, opts, clientCountCallback, ack);
      return;
    }
    const requestId = randomUUID();
    this.#acks.set(requestId, { countClients: clientCountCallback, ack });
    this.publish({ type: MessageType.BROADCAST, data: { packet, requestId, opts: plainOptions(opts) } });
    // Who answers later is not waited for any more.
    const forget = (): void => void this.#acks.delete(requestId);
    setTimeout(forget, opts.flags?.timeout ?? acksKeptMsDefault).unref();
  }

  #publishPacket(packet: Packet): void {
    const { link, names } = this.#cluster;
    const [room] = packet.rooms;
    const isToOneSocket = packet.rooms.length === 1 && this.sids.has(room as SocketId);
    const channel =
      packet.rooms.length === 0
        ? names.all(this.namespace)
        : packet.rooms.length === 1 && !isToOneSocket
          ? names.room(this.namespace, room)
          : undefined;
    const plain = channel === undefined ? undefined : encodePlain(packet);
    if (channel !== undefined && plain !== undefined) {
      const published = packet.isVolatile
        ? link.publishIfReady(channel, plain)
        : link.publish(channel, plain);
      published.catch((error: unknown) => this.#packetRefused(channel, packet, error));
      return;
    }
    const place = names.packets(this.namespace);
    const whole = { payload: encodeWhole(packet), event: undefined, meta: undefined };
    const published = packet.isVolatile ? link.publishIfReady(place, whole) : link.publish(place, whole);
    published.catch((error: unknown) => this.#packetRefused(place, packet, error));
    if (!isToOneSocket) this.#publishCopies(packet);
  }

  /** Readers of a room by other means find there what was sent to several rooms at once. */
  #publishCopies(packet: Packet): void {
    const { link, names } = this.#cluster;
    const copy = encodeCopy(packet);
    if (copy === undefined) return;
    for (const room of packet.rooms) {
      const channel = names.room(this.namespace, room);
      if (channel === undefined || this.sids.has(room as SocketId)) continue;
      const published = packet.isVolatile ? link.publishIfReady(channel, copy) : link.publish(channel, copy);
      published.catch((error: unknown) => this.#refused(channel, error));
    }
  }

  /** It is in no log, so nobody else has it and nobody recovers it; the sockets of this process can still be given it. */
  #packetRefused(channel: string, packet: Packet, error: unknown): void {
    this.#refused(channel, error);
    this.#broadcastHere({ type: eventType, data: [packet.event, ...packet.args] }, optionsOf(packet));
  }

  #refused(channel: string, error: unknown): void {
    this.#cluster.tell('refused', `An event was not published to ${channel}: ${textOf(error)}`, error);
  }

  /** To sockets of this process only. The place in the log is that of what they have been given so far. */
  #broadcastHere(packet: IoPacket, opts: BroadcastOptions): void {
    const isOrdinary = this.#sessions !== undefined && packet.id === undefined;
    const data = isOrdinary ? [...packet.data, this.#cluster.link.position ?? ''] : packet.data;
    Adapter.prototype.broadcast.call(this, { ...packet, data }, opts);
  }

  /** Only this process has the callback, so the packet is not published; but it must not overtake those that are. */
  #broadcastAtItsPlace(packet: IoPacket, opts: BroadcastOptions): void {
    this.#raiseFence(undefined, () => Adapter.prototype.broadcast.call(this, packet, opts));
  }

  /** Nobody else can have the socket, and nobody recovers what is volatile. */
  #isVolatileToOne({ rooms, flags }: BroadcastOptions): boolean {
    const [room] = rooms;
    return flags?.volatile === true && rooms.size === 1 && this.sids.has(room!);
  }

  // --- What is true of the whole cluster happens at one place of the log ------------------------------------------------

  override addSockets(opts: BroadcastOptions, rooms: Room[]): Promise<void> {
    if (opts.flags?.local === true) Adapter.prototype.addSockets.call(this, opts, rooms);
    else this.publish({ type: MessageType.SOCKETS_JOIN, data: { opts: plainOptions(opts), rooms } });
    return Promise.resolve();
  }

  override delSockets(opts: BroadcastOptions, rooms: Room[]): Promise<void> {
    if (opts.flags?.local === true) Adapter.prototype.delSockets.call(this, opts, rooms);
    else this.publish({ type: MessageType.SOCKETS_LEAVE, data: { opts: plainOptions(opts), rooms } });
    return Promise.resolve();
  }

  override disconnectSockets(opts: BroadcastOptions, close: boolean): Promise<void> {
    if (opts.flags?.local === true) Adapter.prototype.disconnectSockets.call(this, opts, close);
    else this.publish({ type: MessageType.DISCONNECT_SOCKETS, data: { opts: plainOptions(opts), close } });
    return Promise.resolve();
  }

  override async doPublish(message: ClusterMessage): Promise<string> {
    const { link } = this.#cluster;
    const isSignOfLife =
      message.type === MessageType.HEARTBEAT || message.type === MessageType.INITIAL_HEARTBEAT;
    await this.#publishToCluster(message, isSignOfLife ? 'now' : 'later');
    return link.position ?? '';
  }

  override async doPublishResponse(requesterUid: string, response: ClusterResponse): Promise<void> {
    await this.#publishToCluster({ ...response, to: requesterUid }, 'later');
  }

  /** `now`: or never, when the server is not there. */
  async #publishToCluster(message: unknown, when: 'now' | 'later'): Promise<void> {
    const { link, names } = this.#cluster;
    const publication = { payload: encodeValue(message), event: undefined, meta: undefined };
    const channel = names.cluster(this.namespace);
    const ttlMs = adapterLimits.clusterMessageTtlMs;
    try {
      if (when === 'now') await link.publishIfReady(channel, publication, ttlMs);
      else await link.publish(channel, publication, ttlMs);
    } catch (error) {
      this.#refused(channel, error);
    }
  }

  // --- What comes from the log -------------------------------------------------------------------------------------------

  receive(message: Envelope): void {
    const place = this.#cluster.names.place(message.channel)!;
    if (place.kind === 'cluster') {
      this.#receiveFromCluster(decodeValue(message.data), message.cursor);
      return;
    }
    const packet = this.#packetIn(message);
    if (packet === undefined) return;
    const logged = { packet, cursor: message.cursor };
    this.#settleArriving();
    this.#lastPacket = message.cursor;
    for (const tail of this.#tails) tail.push(logged);
    for (const [sid, recovery] of this.#arriving) {
      const rooms = this.sids.get(sid);
      if (rooms !== undefined && isFor(packet, rooms)) recovery.held.push(dataOf(logged));
    }
    this.#settleArriving();
    const data = this.#sessions === undefined ? [packet.event, ...packet.args] : dataOf(logged);
    Adapter.prototype.broadcast.call(this, { type: eventType, data }, optionsOf(packet));
  }

  #packetIn(message: Envelope): Packet | undefined {
    const place = this.#cluster.names.place(message.channel);
    switch (place?.kind) {
      case 'packets':
        return decodeWhole(message.data);
      case 'all':
        return decodePlain(message, []);
      case 'room':
        return decodePlain(message, [place.room]);
      case 'cluster':
      case undefined:
        return undefined;
    }
  }

  #receiveFromCluster(value: unknown, cursor: string): void {
    if (value === null || typeof value !== 'object') throw new TypeError('no message of a cluster');
    if ('fence' in value) {
      this.#passFence(value as Fence, cursor);
      return;
    }
    const message = value as (ClusterMessage | ClusterResponse) & { readonly to?: string };
    if (message.uid !== this.uid) {
      if (message.type === MessageType.ADAPTER_CLOSE) this.#peers.delete(message.uid);
      else this.#peers.set(message.uid, Date.now());
      if (message.to === undefined || message.to === this.uid) this.onMessage(message as ClusterMessage);
      return;
    }
    this.#applyOwn(message as ClusterMessage);
  }

  /** What this process asked of the cluster is asked of itself too, at the same place. */
  #applyOwn(own: ClusterMessage): void {
    switch (own.type) {
      case MessageType.BROADCAST: {
        const request = this.#acks.get(own.data.requestId!);
        if (request === undefined) break;
        const { countClients, ack } = request;
        Adapter.prototype.broadcastWithAck.call(
          this,
          own.data.packet,
          optionsFrom(own.data.opts),
          countClients,
          ack,
        );
        break;
      }
      case MessageType.SOCKETS_JOIN:
        Adapter.prototype.addSockets.call(this, optionsFrom(own.data.opts), own.data.rooms);
        break;
      case MessageType.SOCKETS_LEAVE:
        Adapter.prototype.delSockets.call(this, optionsFrom(own.data.opts), own.data.rooms);
        break;
      case MessageType.DISCONNECT_SOCKETS:
        Adapter.prototype.disconnectSockets.call(this, optionsFrom(own.data.opts), own.data.close ?? false);
        break;
      case MessageType.INITIAL_HEARTBEAT:
      case MessageType.HEARTBEAT:
      case MessageType.ADAPTER_CLOSE:
      case MessageType.FETCH_SOCKETS:
      case MessageType.SERVER_SIDE_EMIT:
        // These are for the others.
        break;
    }
  }

  override onResponse(response: ClusterResponse): void {
    if (response.type === MessageType.BROADCAST_CLIENT_COUNT) {
      this.#acks.get(response.data.requestId)?.countClients(response.data.clientCount);
    } else if (response.type === MessageType.BROADCAST_ACK) {
      this.#acks.get(response.data.requestId)?.ack(response.data.packet);
    } else super.onResponse(response);
  }

  // --- Fences: messages of our own that tell, when they come back, that all before them has been delivered -----------------

  /** Calls `passed`, with the fence's place, while it is being received. Fences of one turn are one message. */
  #raiseFence(session: string | undefined, passed: (cursor: string) => void): void {
    if (this.#nextFence === undefined) {
      const next = (this.#nextFence = { sessions: [], waiting: [] });
      setImmediate(() => {
        this.#nextFence = undefined;
        const fence: Fence = { fence: randomUUID(), sessions: next.sessions };
        this.#fences.set(fence.fence, next.waiting);
        void this.#publishToCluster(fence, 'later');
      });
    }
    if (session !== undefined) this.#nextFence.sessions.push(session);
    this.#nextFence.waiting.push(passed);
  }

  #passFence({ fence, sessions }: Fence, cursor: string): void {
    for (const hash of sessions) this.#supersede(hash);
    const waiting = this.#fences.get(fence) ?? [];
    this.#fences.delete(fence);
    for (const passed of waiting) passed(cursor);
  }

  /** The client has come back by another connection, so this one is dead, and its socket must not speak for the session. */
  #supersede(hash: string): void {
    this.#sessions?.release(hash);
    const sid = this.#sids.get(hash);
    const socket = sid === undefined ? undefined : this.#io.sockets.get(sid);
    if (socket === undefined) return;
    this.#superseded.add(socket.id);
    socket._onclose('transport close');
    this.#superseded.delete(socket.id);
    socket.conn.close(true);
  }

  // --- Sessions that can be recovered --------------------------------------------------------------------------------------

  override addAll(id: SocketId, rooms: Set<Room>): void {
    void super.addAll(id, rooms);
    if (this.#sessions === undefined) return;
    let joinedAt = this.#joinedAt.get(id);
    if (joinedAt === undefined) this.#joinedAt.set(id, (joinedAt = new Map<Room, string | null>()));
    for (const room of rooms) {
      if (!joinedAt.has(room)) joinedAt.set(room, this.#lastPacket ?? null);
    }
    this.#saveSoon(id);
  }

  override del(id: SocketId, room: Room): void {
    void super.del(id, room);
    this.#joinedAt.get(id)?.delete(room);
    if (this.#sessions !== undefined) this.#saveSoon(id);
  }

  override delAll(id: SocketId): void {
    super.delAll(id);
    this.#arriving.delete(id);
    this.#joinedAt.delete(id);
    this.#savedData.delete(id);
    this.#unsaved?.delete(id);
    const hash = this.#hashes.get(id);
    if (hash === undefined) return;
    // A session that was to be kept was persisted before, and is not of this socket any more.
    this.#sessions?.remove(hash);
    this.#forgetHash(id, hash);
  }

  override persistSession(session: Parameters<Adapter['persistSession']>[0]): void {
    const { sid, pid, rooms, data } = session;
    const hash = this.#hashes.get(sid) ?? hashOf(pid);
    if (!this.#superseded.has(sid)) this.#save(hash, { sid, rooms, data, disconnectedAtMs: Date.now() });
    this.#forgetHash(sid, hash);
  }

  /** The session and what it missed; `null` when not all of that is there, and a new session is the honest answer. */
  override async restoreSession(pid: string, offset: string): Promise<Session> {
    // The declaration leaves out null, which `socket.io` takes for "there is none".
    const none = null as unknown as Session;
    const sessions = this.#sessions;
    if (sessions === undefined || offset === '') return none;
    const hash = hashOf(pid);
    const tail: Logged[] = [];
    const signal = AbortSignal.timeout(adapterLimits.restoreTimeoutMs);
    try {
      const end = await this.#fenceFor(hash, tail, signal);
      const record = await sessions.find(hash, signal);
      if (record === undefined) return this.#giveUp(tail, none);
      const filter = this.#cluster.names.filterOf(this.namespace);
      const messages = await this.#cluster.reader.between(filter, offset, end, signal);
      if (messages === undefined) return this.#giveUp(tail, none);
      return this.#begin(pid, record, this.#packetsIn(messages), tail);
    } catch (error) {
      if (!signal.aborted) this.#cluster.tell('failed', 'A session could not be recovered.', error);
      return this.#giveUp(tail, none);
    }
  }

  #fenceFor(hash: string, tail: Logged[], signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      this.#raiseFence(hash, (cursor) => {
        if (!signal.aborted) this.#tails.add(tail);
        resolve(cursor);
      });
    });
  }

  #giveUp<T>(tail: Logged[], none: T): T {
    this.#tails.delete(tail);
    return none;
  }

  #packetsIn(messages: readonly Envelope[]): Logged[] {
    return messages.flatMap((message) => {
      try {
        const packet = this.#packetIn(message);
        return packet === undefined ? [] : [{ packet, cursor: message.cursor }];
      } catch {
        // It could not be delivered at its time either, and was told of then.
        return [];
      }
    });
  }

  #begin(pid: string, record: SessionRecord, missed: readonly Logged[], tail: Logged[]): Session {
    this.#joinedAt.set(record.sid, new Map(record.rooms.map(([room, at]) => [room, at] as const)));
    const recovery = new Recovery({
      pid,
      record,
      missed,
      tail,
      onTaken: (taken) => {
        this.#tails.delete(tail);
        this.#arriving.set(record.sid, taken);
        setImmediate(() => this.#settleArriving());
      },
    });
    setTimeout(() => this.#tails.delete(tail), untakenMsMax).unref();
    return recovery.session;
  }

  /**
   * Between the moment a recovered socket is made and the moment it is connected `socket.io` delivers nothing to it. What
   * comes meanwhile is held here; the client keeps it until its CONNECT comes, and so nothing overtakes anything.
   */
  #settleArriving(): void {
    for (const [sid, recovery] of this.#arriving) {
      const connected = this.#io.sockets.get(sid);
      const socket = connected ?? this.#io._preConnectSockets.get(sid);
      if (socket !== undefined)
        for (const data of recovery.held.splice(0)) socket.packet({ type: eventType, data });
      if (connected !== undefined) this.#arriving.delete(sid);
    }
  }

  #saveSoon(id: SocketId): void {
    if (this.#unsaved === undefined) {
      this.#unsaved = new Set();
      setImmediate(() => this.#saveNow());
    }
    this.#unsaved.add(id);
  }

  #saveNow(): void {
    const unsaved = this.#unsaved;
    this.#unsaved = undefined;
    for (const id of unsaved ?? []) {
      const socket = this.#io.sockets.get(id);
      if (socket?.pid === undefined || !socket.connected) continue;
      let hash = this.#hashes.get(id);
      if (hash === undefined) {
        hash = hashOf(socket.pid);
        this.#hashes.set(id, hash);
        this.#sids.set(hash, id);
        if (this.#cluster.options.sendCursors) this.#sendCursor(socket);
      }
      this.#save(hash, { sid: id, rooms: [...socket.rooms], data: socket.data });
    }
  }

  #save(
    hash: string,
    state: { sid: SocketId; rooms: readonly Room[]; data: unknown; disconnectedAtMs?: number },
  ): void {
    const { sid, rooms, data, disconnectedAtMs } = state;
    const joinedAt = this.#joinedAt.get(sid);
    const json = this.#dataJson(sid, data);
    this.#savedData.set(sid, json);
    this.#sessions!.save(hash, {
      sid,
      rooms: rooms.map((room) => [room, joinedAt?.get(room) ?? null]),
      data: JSON.parse(json) as unknown,
      owner: this.uid,
      ...(disconnectedAtMs === undefined ? {} : { disconnectedAtMs }),
    });
  }

  #dataJson(sid: SocketId, data: unknown): string {
    try {
      return JSON.stringify(data ?? {});
    } catch (error) {
      this.#cluster.tell('refused', `The data of socket ${sid} is no JSON, and cannot be recovered.`, error);
      return '{}';
    }
  }

  /** Nobody tells when `socket.data` changes. */
  #saveChangedData(): void {
    for (const [sid, saved] of this.#savedData) {
      const socket = this.#io.sockets.get(sid);
      if (socket !== undefined && this.#dataJson(sid, socket.data) !== saved) this.#saveSoon(sid);
    }
  }

  #forgetHash(sid: SocketId, hash: string): void {
    this.#hashes.delete(sid);
    if (this.#sids.get(hash) === sid) this.#sids.delete(hash);
  }

  #sendCursor(socket: IoSocket): void {
    const { position } = this.#cluster.link;
    if (position !== undefined) socket.packet({ type: eventType, data: [cursorEvent, position] });
  }

  /** So that the log between a quiet client's last event and its next recovery does not become long, or run out. */
  #sendCursors(): void {
    const { position } = this.#cluster.link;
    if (position === undefined || position === this.#sentCursor) return;
    this.#sentCursor = position;
    const everybody = { rooms: new Set<Room>(), except: new Set<Room>(), flags: {} };
    Adapter.prototype.broadcast.call(this, { type: eventType, data: [cursorEvent, position] }, everybody);
  }

  #sweep(): void {
    const oldestMs = Date.now() - this.#cluster.options.heartbeatTimeoutMs;
    for (const [uid, heardMs] of this.#peers) if (heardMs < oldestMs) this.#peers.delete(uid);
    // One is enough.
    if ([...this.#peers.keys()].some((uid) => uid < this.uid)) return;
    this.#sessions!.sweep((owner) => owner === this.uid || this.#peers.has(owner)).catch((error: unknown) => {
      this.#cluster.tell('failed', 'Sessions that are over were not removed.', error);
    });
  }

  #every(periodMs: number, act: () => void): void {
    this.#timers.push(setInterval(act, periodMs).unref());
  }
}

interface PlainOptions {
  readonly rooms: string[];
  readonly except: string[];
  readonly flags: BroadcastFlags;
}

function plainOptions({ rooms, except, flags }: BroadcastOptions): PlainOptions {
  return { rooms: [...rooms], except: [...(except ?? [])], flags: flags ?? {} };
}

function optionsFrom({ rooms, except, flags }: PlainOptions): BroadcastOptions {
  return { rooms: new Set(rooms), except: new Set(except), flags };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
