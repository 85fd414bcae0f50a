import type { BroadcastOptions } from 'socket.io-adapter';
import type { Cluster } from './cluster.ts';
import { eventType, type IoPacket } from './io-namespace.ts';
import { encodeCopy, encodePlain, encodeWhole, optionsOf, type Packet, type Publication } from './packets.ts';

export interface EventPublisherParts {
  readonly cluster: Cluster;
  /** Level of the Socket.IO namespace. */
  readonly namespace: string;
  /** Whether the room is the private one of a socket of this process. */
  readonly isSocket: (room: unknown) => boolean;
  readonly broadcastHere: (packet: IoPacket, options: BroadcastOptions) => void;
}

/** Publishes the events of one namespace to the channels of their rooms. */
export class EventPublisher {
  readonly #parts: EventPublisherParts;

  constructor(parts: EventPublisherParts) {
    this.#parts = parts;
  }

  /** @throws TypeError for arguments that JSON cannot express */
  publish(packet: Packet): void {
    const { cluster, namespace, isSocket } = this.#parts;
    const isToOneSocket = packet.rooms.length === 1 && isSocket(packet.rooms[0]);
    const channel = isToOneSocket ? undefined : this.#channelOf(packet.rooms);
    const plain = channel === undefined ? undefined : encodePlain(packet);
    if (channel !== undefined && plain !== undefined) {
      this.#send(channel, packet, plain).catch((error: unknown) => this.#refused(channel, packet, error));
      return;
    }
    const packets = cluster.names.packets(namespace);
    const whole = { payload: encodeWhole(packet), event: undefined, meta: undefined };
    this.#send(packets, packet, whole).catch((error: unknown) => this.#refused(packets, packet, error));
    if (!isToOneSocket) this.#publishCopies(packet);
  }

  /** The one channel that all sockets of `rooms` read; `undefined` for several rooms, or a room that cannot be a channel. */
  #channelOf(rooms: readonly unknown[]): string | undefined {
    const { cluster, namespace } = this.#parts;
    if (rooms.length === 0) return cluster.names.all(namespace);
    return rooms.length === 1 ? cluster.names.room(namespace, rooms[0]) : undefined;
  }

  /** Readers on other transports find in each room's channel the events that were sent to several rooms at once. */
  #publishCopies(packet: Packet): void {
    const { cluster, namespace, isSocket } = this.#parts;
    const copy = encodeCopy(packet);
    if (copy === undefined) return;
    for (const room of packet.rooms) {
      const channel = cluster.names.room(namespace, room);
      if (channel === undefined || isSocket(room)) continue;
      this.#send(channel, packet, copy).catch((error: unknown) => cluster.publishRefused(channel, error));
    }
  }

  #send(channel: string, { isVolatile }: Packet, publication: Publication): Promise<void> {
    const { link } = this.#parts.cluster;
    return isVolatile ? link.publishIfReady(channel, publication) : link.publish(channel, publication);
  }

  /** The event is in no log, so no other process gets it and no client recovers it. The sockets of this process still can. */
  #refused(channel: string, packet: Packet, error: unknown): void {
    this.#parts.cluster.publishRefused(channel, error);
    this.#parts.broadcastHere({ type: eventType, data: [packet.event, ...packet.args] }, optionsOf(packet));
  }
}
