import type { Adapter, Room, SocketId } from 'socket.io-adapter';
import type { IoNamespace, IoSocket } from './io-namespace.ts';
import { hashOf } from './names.ts';
import type { SessionRecord, Sessions } from './sessions.ts';

export interface SessionKeeperParts {
  readonly io: IoNamespace;
  readonly sessions: Sessions;
  /** This process, in the records. */
  readonly owner: string;
  /** The session of a socket is about to be saved for the first time. */
  readonly onFirstSave: (socket: IoSocket) => void;
  readonly onUnsavable: (detail: string, cause: unknown) => void;
}

/** Keeps the session records of this process's sockets up to date. */
export class SessionKeeper {
  readonly #parts: SessionKeeperParts;
  /** Cursor of the last packet of this namespace that was delivered. */
  #lastPacket: string | undefined;
  readonly #joinedAt = new Map<SocketId, Map<Room, string | null>>();
  readonly #hashes = new Map<SocketId, string>();
  readonly #sids = new Map<string, SocketId>();
  readonly #savedData = new Map<SocketId, string>();
  /** Sockets whose session must be saved at the end of this turn of the event loop. */
  #unsaved: Set<SocketId> | undefined;
  /** Sockets whose session another connection has taken over. */
  readonly #superseded = new Set<SocketId>();

  constructor(parts: SessionKeeperParts) {
    this.#parts = parts;
  }

  delivered(cursor: string): void {
    this.#lastPacket = cursor;
  }

  /** A session comes back in a new socket, which keeps the places at which it joined its rooms. */
  restored({ sid, rooms }: SessionRecord): void {
    this.#joinedAt.set(sid, new Map(rooms.map(([room, at]) => [room, at] as const)));
  }

  joined(sid: SocketId, rooms: ReadonlySet<Room>): void {
    let joinedAt = this.#joinedAt.get(sid);
    if (joinedAt === undefined) this.#joinedAt.set(sid, (joinedAt = new Map<Room, string | null>()));
    for (const room of rooms) {
      if (!joinedAt.has(room)) joinedAt.set(room, this.#lastPacket ?? null);
    }
    this.#saveSoon(sid);
  }

  left(sid: SocketId, room: Room): void {
    this.#joinedAt.get(sid)?.delete(room);
    this.#saveSoon(sid);
  }

  /** The socket is gone. If its session is to be recovered, `persist` came before and the session has no socket any more. */
  removed(sid: SocketId): void {
    this.#joinedAt.delete(sid);
    this.#savedData.delete(sid);
    this.#unsaved?.delete(sid);
    const hash = this.#hashes.get(sid);
    if (hash === undefined) return;
    this.#parts.sessions.remove(hash);
    this.#forgetHash(sid, hash);
  }

  /** The client is disconnected and may come back. */
  persist({ sid, pid, rooms, data }: Parameters<Adapter['persistSession']>[0]): void {
    const hash = this.#hashes.get(sid) ?? hashOf(pid);
    if (!this.#superseded.has(sid)) this.#save(hash, { sid, rooms, data, disconnectedAtMs: Date.now() });
    this.#forgetHash(sid, hash);
  }

  /** The client has come back on another connection, so this connection is dead and must not save the session any more. */
  supersede(hash: string): void {
    this.#parts.sessions.release(hash);
    const sid = this.#sids.get(hash);
    const socket = sid === undefined ? undefined : this.#parts.io.sockets.get(sid);
    if (socket === undefined) return;
    this.#superseded.add(socket.id);
    socket._onclose('transport close');
    this.#superseded.delete(socket.id);
    socket.conn.close(true);
  }

  saveNow(): void {
    const unsaved = this.#unsaved;
    this.#unsaved = undefined;
    for (const sid of unsaved ?? []) {
      const socket = this.#parts.io.sockets.get(sid);
      if (socket?.pid === undefined || !socket.connected) continue;
      let hash = this.#hashes.get(sid);
      if (hash === undefined) {
        hash = hashOf(socket.pid);
        this.#hashes.set(sid, hash);
        this.#sids.set(hash, sid);
        this.#parts.onFirstSave(socket);
      }
      this.#save(hash, { sid, rooms: [...socket.rooms], data: socket.data });
    }
  }

  /** `socket.io` does not tell when `socket.data` changes, so this compares it with the saved data. */
  saveChangedData(): void {
    for (const [sid, saved] of this.#savedData) {
      const socket = this.#parts.io.sockets.get(sid);
      if (socket !== undefined && this.#dataJson(sid, socket.data) !== saved) this.#saveSoon(sid);
    }
  }

  #saveSoon(sid: SocketId): void {
    if (this.#unsaved === undefined) {
      this.#unsaved = new Set();
      setImmediate(() => this.saveNow());
    }
    this.#unsaved.add(sid);
  }

  #save(
    hash: string,
    state: { sid: SocketId; rooms: readonly Room[]; data: unknown; disconnectedAtMs?: number },
  ): void {
    const { sid, rooms, data, disconnectedAtMs } = state;
    const joinedAt = this.#joinedAt.get(sid);
    const json = this.#dataJson(sid, data);
    this.#savedData.set(sid, json);
    this.#parts.sessions.save(hash, {
      sid,
      rooms: rooms.map((room) => [room, joinedAt?.get(room) ?? null]),
      data: JSON.parse(json) as unknown,
      owner: this.#parts.owner,
      ...(disconnectedAtMs === undefined ? {} : { disconnectedAtMs }),
    });
  }

  #dataJson(sid: SocketId, data: unknown): string {
    try {
      return JSON.stringify(data ?? {});
    } catch (error) {
      this.#parts.onUnsavable(`The data of socket ${sid} is not JSON and cannot be recovered.`, error);
      return '{}';
    }
  }

  #forgetHash(sid: SocketId, hash: string): void {
    this.#hashes.delete(sid);
    if (this.#sids.get(hash) === sid) this.#sids.delete(hash);
  }
}
