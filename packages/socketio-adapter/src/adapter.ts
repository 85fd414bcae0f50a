import { randomUUID } from 'node:crypto';
import type { Envelope } from '@everywire/protocol';
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
import { EventPublisher } from './event-publisher.ts';
import { Fences, type Fence } from './fences.ts';
import { eventType, type IoNamespace, type IoPacket, type IoSocket } from './io-namespace.ts';
import { adapterLimits } from './options.ts';
import { decodePacket, decodeValue, encodeValue, optionsOf, packetOf } from './packets.ts';
import { Peers } from './peers.ts';
import { Recoveries } from './recoveries.ts';
import { dataOf, type Logged } from './recovery.ts';
import { SessionKeeper } from './session-keeper.ts';
import { Sessions } from './sessions.ts';

interface AckRequest {
  readonly countClients: (count: number) => void;
  readonly ack: (...args: unknown[]) => void;
}

/** What an adapter needs for connection state recovery. */
interface StateRecovery {
  readonly sessions: Sessions;
  readonly keeper: SessionKeeper;
  readonly recoveries: Recoveries;
}

const cursorEvent = 'everywire.cursor';
const acksKeptMsDefault = 5_000;

/**
 * Adapter of `socket.io` over a log. A broadcast is published. When it arrives from the log, the sockets of this process get
 * it, as those of all other processes do: all of them see one order, which is that of every other subscriber of Everywire.
 */
export class EverywireAdapter extends ClusterAdapterWithHeartbeat implements Member {
  readonly namespace: string;
  readonly #cluster: Cluster;
  readonly #publisher: EventPublisher;
  readonly #fences: Fences;
  readonly #peers = new Peers();
  readonly #acks = new Map<string, AckRequest>();
  readonly #recovery: StateRecovery | undefined;
  #sentCursor: string | undefined;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(ioNamespace: IoNamespace, cluster: Cluster) {
    const { heartbeatEveryMs, heartbeatTimeoutMs } = cluster.options;
    super(ioNamespace, { heartbeatInterval: heartbeatEveryMs, heartbeatTimeout: heartbeatTimeoutMs });
    this.#cluster = cluster;
    this.namespace = cluster.names.namespace(ioNamespace.name);
    this.#publisher = new EventPublisher({
      cluster,
      namespace: this.namespace,
      isSocket: (room) => this.sids.has(room as SocketId),
      broadcastHere: (packet, options) => this.#broadcastHere(packet, options),
    });
    this.#fences = new Fences((fence) => void this.#publishToCluster(fence, 'later'));
    const { connectionStateRecovery } = ioNamespace.server.opts;
    if (connectionStateRecovery !== undefined)
      this.#recovery = this.#makeRecovery(ioNamespace, connectionStateRecovery.maxDisconnectionDuration);
  }

  #makeRecovery(io: IoNamespace, disconnectedMsMax = 120_000): StateRecovery {
    const { names, link, reader, options } = this.#cluster;
    const sessions = new Sessions({
      names,
      link,
      reader,
      namespace: this.namespace,
      disconnectedMsMax,
      onFailed: (detail, cause) => this.#cluster.report('refused', detail, cause),
    });
    const keeper = new SessionKeeper({
      io,
      sessions,
      owner: this.uid,
      onFirstSave: (socket) => {
        if (options.sendCursors) this.#sendCursor(socket);
      },
      onUnsavable: (detail, cause) => this.#cluster.report('refused', detail, cause),
    });
    const recoveries = new Recoveries({
      io,
      sessions,
      fences: this.#fences,
      read: (cursor, end, signal) => this.#readPackets(cursor, end, signal),
      roomsOf: (sid) => this.sids.get(sid),
      onRestored: (record) => keeper.restored(record),
      onFailed: (error) => this.#cluster.report('failed', 'A session could not be recovered.', error),
    });
    return { sessions, keeper, recoveries };
  }

  override init(): void {
    this.#cluster.join(this);
    if (this.#recovery === undefined) return;
    const { keeper, sessions } = this.#recovery;
    const { heartbeatEveryMs, sendCursors } = this.#cluster.options;
    this.#every(heartbeatEveryMs, () => keeper.saveChangedData());
    this.#every(adapterLimits.sweepEveryMs, () => this.#sweep(sessions));
    if (sendCursors) this.#every(adapterLimits.cursorEveryMs, () => this.#sendCursors());
  }

  /** Resolves when everything that was published is answered. */
  // eslint-disable-next-line @typescript-eslint/no-misused-promises -- `socket.io` waits for it, as Adapter declares; only this base class does not say so
  override close(): Promise<void> {
    super.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#recovery?.keeper.saveNow();
    this.#recovery?.sessions.close();
    return this.#cluster.leave(this);
  }

  /** The link is connected, for the first time or again. */
  ready(): void {
    super.init();
    // Clients that connected before the link knew a cursor have not got one.
    if (this.#recovery !== undefined && this.#cluster.options.sendCursors) this.#sendCursors();
  }

  // --- Broadcasts ---------------------------------------------------------------------------------------------------

  /** @throws TypeError for arguments that JSON cannot express, as `socket.io` itself does */
  override broadcast(packet: IoPacket, opts: BroadcastOptions): Promise<void> {
    if (opts.flags?.local === true) this.#broadcastHere(packet, opts);
    else if (packet.id !== undefined) this.#broadcastInOrder(packet, opts);
    else if (this.#isVolatileToOne(opts)) this.#broadcastHere(packet, opts);
    else this.#publisher.publish(packetOf(packet.data, opts));
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
    // Later answers are ignored.
    const forget = (): void => void this.#acks.delete(requestId);
    setTimeout(forget, opts.flags?.timeout ?? acksKeptMsDefault).unref();
  }

  /** To sockets of this process only. The cursor is that of the last event they got from the log. */
  #broadcastHere(packet: IoPacket, opts: BroadcastOptions): void {
    const hasCursor = this.#recovery !== undefined && packet.id === undefined;
    const data = hasCursor ? [...packet.data, this.#cluster.link.position ?? ''] : packet.data;
    Adapter.prototype.broadcast.call(this, { ...packet, data }, opts);
  }

  /** Only this process has the callback, so the packet is not published; but it must not overtake the published ones. */
  #broadcastInOrder(packet: IoPacket, opts: BroadcastOptions): void {
    this.#fences.raise(() => Adapter.prototype.broadcast.call(this, packet, opts));
  }

  /** No other process can have the socket, and volatile events are not recovered. */
  #isVolatileToOne({ rooms, flags }: BroadcastOptions): boolean {
    const [room] = rooms;
    return flags?.volatile === true && rooms.size === 1 && this.sids.has(room!);
  }

  // --- Requests to the whole cluster. Each happens at one place of the log -------------------------------------------

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
    const isHeartbeat =
      message.type === MessageType.HEARTBEAT || message.type === MessageType.INITIAL_HEARTBEAT;
    await this.#publishToCluster(message, isHeartbeat ? 'now' : 'later');
    return this.#cluster.link.position ?? '';
  }

  override async doPublishResponse(requesterUid: string, response: ClusterResponse): Promise<void> {
    await this.#publishToCluster({ ...response, to: requesterUid }, 'later');
  }

  /** `now`: drops the message while the server cannot be reached. */
  async #publishToCluster(message: unknown, when: 'now' | 'later'): Promise<void> {
    const { link, names } = this.#cluster;
    const publication = { payload: encodeValue(message), event: undefined, meta: undefined };
    const channel = names.cluster(this.namespace);
    const ttlMs = adapterLimits.clusterMessageTtlMs;
    try {
      if (when === 'now') await link.publishIfReady(channel, publication, ttlMs);
      else await link.publish(channel, publication, ttlMs);
    } catch (error) {
      this.#cluster.publishRefused(channel, error);
    }
  }

  // --- Messages from the log ------------------------------------------------------------------------------------------

  receive(message: Envelope): void {
    const place = this.#cluster.names.place(message.channel)!;
    if (place.kind === 'cluster') {
      this.#receiveFromCluster(decodeValue(message.data), message.cursor);
      return;
    }
    const packet = decodePacket(message, place);
    if (packet === undefined) return;
    const logged = { packet, cursor: message.cursor };
    this.#recovery?.keeper.delivered(message.cursor);
    this.#recovery?.recoveries.deliver(logged);
    const data = this.#recovery === undefined ? [packet.event, ...packet.args] : dataOf(logged);
    Adapter.prototype.broadcast.call(this, { type: eventType, data }, optionsOf(packet));
  }

  async #readPackets(
    cursor: string,
    end: string,
    signal: AbortSignal,
  ): Promise<readonly Logged[] | undefined> {
    const { names, reader } = this.#cluster;
    const messages = await reader.between(names.filterOf(this.namespace), cursor, end, signal);
    return messages?.flatMap((message) => {
      try {
        const packet = decodePacket(message, names.place(message.channel));
        return packet === undefined ? [] : [{ packet, cursor: message.cursor }];
      } catch {
        // When it arrived, it could not be delivered either, and was reported.
        return [];
      }
    });
  }

  #receiveFromCluster(value: unknown, cursor: string): void {
    if (value === null || typeof value !== 'object') throw new TypeError('not a message of a cluster');
    if ('fence' in value) {
      const fence = value as Fence;
      for (const hash of fence.sessions) this.#recovery?.keeper.supersede(hash);
      this.#fences.pass(fence, cursor);
      return;
    }
    const message = value as (ClusterMessage | ClusterResponse) & { readonly to?: string };
    if (message.uid === this.uid) {
      this.#applyOwn(message as ClusterMessage);
      return;
    }
    if (message.type === MessageType.ADAPTER_CLOSE) this.#peers.left(message.uid);
    else this.#peers.heard(message.uid);
    if (message.to === undefined || message.to === this.uid) this.onMessage(message as ClusterMessage);
  }

  /** A request of this process applies to its own sockets too, at the same place of the log. */
  #applyOwn(own: ClusterMessage): void {
    switch (own.type) {
      case MessageType.BROADCAST: {
        const request = this.#acks.get(own.data.requestId!);
        if (request === undefined) break;
        const { countClients, ack } = request;
        const options = optionsFrom(own.data.opts);
        Adapter.prototype.broadcastWithAck.call(this, own.data.packet, options, countClients, ack);
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
        // These are for the other processes.
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

  // --- Connection state recovery ----------------------------------------------------------------------------------------

  override addAll(id: SocketId, rooms: Set<Room>): void {
    void super.addAll(id, rooms);
    this.#recovery?.keeper.joined(id, rooms);
  }

  override del(id: SocketId, room: Room): void {
    void super.del(id, room);
    this.#recovery?.keeper.left(id, room);
  }

  override delAll(id: SocketId): void {
    super.delAll(id);
    this.#recovery?.recoveries.forget(id);
    this.#recovery?.keeper.removed(id);
  }

  override persistSession(session: Parameters<Adapter['persistSession']>[0]): void {
    this.#recovery?.keeper.persist(session);
  }

  /** `null` makes `socket.io` begin a new session. */
  override async restoreSession(pid: string, offset: string): Promise<Session> {
    const session = offset === '' ? undefined : await this.#recovery?.recoveries.restore(pid, offset);
    // The declaration leaves out null.
    return session ?? (null as unknown as Session);
  }

  #sendCursor(socket: IoSocket): void {
    const { position } = this.#cluster.link;
    if (position !== undefined) socket.packet({ type: eventType, data: [cursorEvent, position] });
  }

  /** Keeps the log short between the last event of a quiet client and its next recovery, and within retention. */
  #sendCursors(): void {
    const { position } = this.#cluster.link;
    if (position === undefined || position === this.#sentCursor) return;
    this.#sentCursor = position;
    const everybody = { rooms: new Set<Room>(), except: new Set<Room>(), flags: {} };
    Adapter.prototype.broadcast.call(this, { type: eventType, data: [cursorEvent, position] }, everybody);
  }

  /** One process sweeps for all. */
  #sweep(sessions: Sessions): void {
    this.#peers.forgetSilent(this.#cluster.options.heartbeatTimeoutMs);
    if (!this.#peers.areAfter(this.uid)) return;
    sessions
      .sweep((owner) => owner === this.uid || this.#peers.has(owner))
      .catch((error: unknown) => {
        this.#cluster.report('failed', 'Sessions that have ended were not removed.', error);
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
