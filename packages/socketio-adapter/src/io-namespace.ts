import type { Room, SocketId } from 'socket.io-adapter';

/** The members of a `socket.io` namespace that the adapter uses. `socket.io` passes it to adapters without a type. */
export interface IoNamespace {
  readonly name: string;
  readonly sockets: Map<SocketId, IoSocket>;
  /** Sockets that exist and are not connected yet, because middlewares are running. */
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

export interface IoPacket {
  readonly type: number;
  /** Event and arguments. */
  readonly data: unknown[];
  /** Present when the sender wants an acknowledgement. Only the sender's process can receive it. */
  readonly id?: number;
}

/** EVENT in the protocol of Socket.IO. */
export const eventType = 2;
