import type { EngineSocket } from './engine/engine-socket.ts';
import type { IoConnection } from './io-connection.ts';
import { ackPacket, disconnectPacket, eventPacket } from '@everywire/wires/socketio';

/** One peer in one namespace. */
export class IoSocket<State> {
  readonly connection: IoConnection<State>;
  readonly ioNamespace: string;
  state!: State;
  /** `connecting`: the CONNECT is not answered yet. */
  stage: 'connecting' | 'connected' | 'ended' = 'connecting';

  constructor(connection: IoConnection<State>, ioNamespace: string) {
    this.connection = connection;
    this.ioNamespace = ioNamespace;
  }

  get engine(): EngineSocket<IoConnection<State>> {
    return this.connection.engine;
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
    void this.connection.leave(this, 'lost');
  }
}
