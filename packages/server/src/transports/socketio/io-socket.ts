import type { EngineSession } from './engine/handlers.ts';
import { ackPacket, disconnectPacket, eventPacket } from '@everywire/wires/socketio';

/** The connection that a socket is on. */
export interface IoSocketOwner<State> {
  readonly engine: EngineSession<unknown>;
  leave(socket: IoSocket<State>, how: 'lost'): undefined | Promise<void>;
}

/** One peer in one namespace. */
export class IoSocket<State> {
  readonly #owner: IoSocketOwner<State>;
  readonly ioNamespace: string;
  state!: State;
  /** `connecting`: the CONNECT is not answered yet. */
  stage: 'connecting' | 'connected' | 'ended' = 'connecting';

  constructor(owner: IoSocketOwner<State>, ioNamespace: string) {
    this.#owner = owner;
    this.ioNamespace = ioNamespace;
  }

  get engine(): EngineSession<unknown> {
    return this.#owner.engine;
  }

  /** Sends an event; `items` are JSON texts, the name first. */
  emit(items: readonly string[]): void {
    if (this.stage === 'connected') this.engine.sendText(eventPacket(this.ioNamespace, items));
  }

  /** Acknowledges; `items` are JSON texts. */
  acknowledge(id: number, items: readonly string[]): void {
    if (this.stage === 'connected') this.engine.sendText(ackPacket(this.ioNamespace, id, items));
  }

  /** Takes the peer out of this namespace. */
  disconnect(): void {
    if (this.stage === 'ended') return;
    this.engine.sendText(disconnectPacket(this.ioNamespace));
    void this.#owner.leave(this, 'lost');
  }
}
