import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { Deadlines, type Deadline } from '../core/deadlines.ts';
import { connectionKey } from '../net/guard.ts';

/** The next step for a new connection. */
export interface Outcome {
  /** The connection starts like TLS. The received bytes are still unread. */
  readonly proceed: () => void;
  /** The connection does not start like TLS. */
  readonly plain: () => void;
}

interface Handshake {
  readonly socket: Socket;
  readonly deadline: Deadline;
}

/** `handshake`, the only record type at the start of TLS (RFC 8446 §5.1). */
const handshakeRecord = 0x16;

/**
 * Connections in a TLS handshake. Each has one deadline, from its start, and is known here, so that a closing server
 * need not wait for it.
 */
export class Handshakes {
  readonly #deadlines: Deadlines<Socket>;
  readonly #timeoutMs: number;
  /**
   * By the name of the connection before and after TLS, because Node does not tell which TCP socket a TLS socket
   * belongs to.
   */
  readonly #open = new Map<string, Handshake>();

  constructor(clock: Clock, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#deadlines = new Deadlines({ clock, onDue: (socket) => socket.destroy() });
  }

  get size(): number {
    return this.#open.size;
  }

  begin(socket: Socket, outcome: Outcome): void {
    const key = connectionKey(socket);
    if (key === undefined) {
      socket.destroy();
      return;
    }
    const handshake = { socket, deadline: this.#deadlines.start(socket, this.#timeoutMs) };
    this.#open.set(key, handshake);
    socket.once('close', () => {
      handshake.deadline.cancel();
      // The same peer may have a new connection by now.
      if (this.#open.get(key) === handshake) this.#open.delete(key);
    });
    const broken = (): void => void socket.destroy();
    socket.on('error', broken);
    // Not `once`: without data the event is an end, or a false alarm.
    const look = (): void => {
      const first = socket.read() as Buffer | null;
      if (first === null) {
        if (socket.readableEnded) socket.destroy();
        return;
      }
      socket.off('readable', look);
      socket.off('end', broken);
      socket.off('error', broken);
      socket.unshift(first);
      if (first[0] === handshakeRecord) {
        outcome.proceed();
        return;
      }
      handshake.deadline.cancel();
      this.#open.delete(key);
      outcome.plain();
    };
    socket.on('readable', look);
    socket.once('end', broken);
  }

  done(socket: Socket): void {
    const key = connectionKey(socket);
    // The connection is gone; its 'close' event follows.
    if (key === undefined) return;
    this.#open.get(key)?.deadline.cancel();
    this.#open.delete(key);
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }
}
