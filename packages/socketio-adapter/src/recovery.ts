import type { Room, Session } from 'socket.io-adapter';
import { isFor, type Packet } from './packets.ts';
import type { SessionRecord } from './sessions.ts';

/** A packet at its place in the log. */
export interface Logged {
  readonly packet: Packet;
  readonly cursor: string;
}

/** A session that is being recovered. It gets the packets it missed, and then those that arrive until its socket is connected. */
export class Recovery {
  readonly record: SessionRecord;
  readonly #pid: string;
  readonly #missed: readonly Logged[];
  readonly #tail: Logged[];
  readonly #onTaken: (recovery: Recovery) => void;
  #isTaken = false;
  /** Events between taking the session and connecting its socket. */
  held: unknown[][] = [];

  constructor(parts: {
    readonly pid: string;
    readonly record: SessionRecord;
    readonly missed: readonly Logged[];
    /** Packets that are delivered meanwhile. Grows until `socket.io` takes the session. */
    readonly tail: Logged[];
    readonly onTaken: (recovery: Recovery) => void;
  }) {
    this.#pid = parts.pid;
    this.record = parts.record;
    this.#missed = parts.missed;
    this.#tail = parts.tail;
    this.#onTaken = parts.onTaken;
  }

  get isTaken(): boolean {
    return this.#isTaken;
  }

  /**
   * The session from which `socket.io` makes the socket. It reads `missedPackets` while it makes the socket, some time after
   * it got the session. The packets delivered until then must be among them, so a getter collects them.
   */
  get session(): Session {
    const { sid, rooms, data } = this.record;
    const take = (): unknown[][] => this.#take();
    return {
      sid,
      pid: this.#pid,
      rooms: rooms.map(([room]) => room),
      data,
      get missedPackets() {
        return take();
      },
    };
  }

  #take(): unknown[][] {
    this.#isTaken = true;
    const missed = missedBy(this.record, [...this.#missed, ...this.#tail]);
    this.#onTaken(this);
    return missed.map(dataOf);
  }
}

/** The packets that a session missed, of those after the last it received: for each room, from where it was joined. */
export function missedBy(record: SessionRecord, packets: readonly Logged[]): Logged[] {
  const places = new Set(packets.map(({ cursor }) => cursor));
  // A cursor that is not among them lies before them: the room was joined all the time.
  const rooms = new Set<Room>();
  const later = new Map<string, Room[]>();
  for (const [room, joinedAt] of record.rooms) {
    if (joinedAt === null || !places.has(joinedAt)) rooms.add(room);
    else later.set(joinedAt, [...(later.get(joinedAt) ?? []), room]);
  }
  return packets.filter(({ packet, cursor }) => {
    const isMissed = !packet.isVolatile && isFor(packet, rooms);
    for (const room of later.get(cursor) ?? []) rooms.add(room);
    return isMissed;
  });
}

/** An event as it is sent: the cursor is always the last argument, so that no string of the application can be taken for it. */
export function dataOf({ packet, cursor }: Logged): unknown[] {
  return [packet.event, ...packet.args, cursor];
}
