import type { IoSocket } from './io-socket.ts';

/** An EVENT of a peer. */
export interface IoEvent {
  readonly name: string | number;
  /** The arguments as raw JSON text; a binary argument is a placeholder. */
  readonly items: readonly string[];
  readonly attachments: readonly Buffer[];
  /** The id of the acknowledgement that the peer waits for. */
  readonly ackId: number | undefined;
}

export interface Admission<State> {
  /** The answer to the CONNECT, with `sid` at least. */
  readonly answer: Readonly<Record<string, unknown>>;
  readonly state: State;
}

/** The user of the sockets of Socket.IO: the server's own commands, or those of a test. */
export interface IoApplication<State> {
  /** Admits a peer to a namespace. The peer gets a thrown error as CONNECT_ERROR. */
  connect(socket: IoSocket<State>, auth: Readonly<Record<string, unknown>>): Promise<Admission<State>>;
  /** The CONNECT has been answered. */
  connected(socket: IoSocket<State>): void;
  /** An event. A poll's POST is answered when the promise resolves; it must not reject. */
  event(socket: IoSocket<State>, event: IoEvent): undefined | Promise<unknown>;
  /** The sent bytes have left, and more may follow. */
  writable(socket: IoSocket<State>): void;
  /** Called once. `disconnected`: the peer left this namespace on purpose. The promise must not reject. */
  ended(socket: IoSocket<State>, how: 'disconnected' | 'left' | 'lost'): undefined | Promise<void>;
}
