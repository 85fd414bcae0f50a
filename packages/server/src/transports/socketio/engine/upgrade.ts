import type { WebSocketPeer } from '../../../websocket/peer.ts';
import { packets, parsePacket } from '@everywire/wires/socketio';
import type { EngineSocket } from './engine-socket.ts';
import type { WebSocketSide } from './websocket-side.ts';

/** What tries upgrades. */
export interface UpgradeHost<Context> {
  /** The session has its WebSocket, or the trial failed. */
  upgradeSettled(upgrade: Upgrade<Context>): void;
}

/**
 * A WebSocket that is tried for a session which polls (protocol document, "Upgrade"): `2probe`, `3probe`, then `5` once
 * the peer has its last poll's answer. Until then the session polls, and loses nothing if it comes to nothing.
 */
export class Upgrade<Context> implements WebSocketSide {
  readonly #host: UpgradeHost<Context>;
  readonly #socket: EngineSocket<Context>;
  #stage: 'opened' | 'probed' | 'done' | 'over' | 'refused' = 'opened';
  peer!: WebSocketPeer<WebSocketSide>;

  constructor(host: UpgradeHost<Context>, socket: EngineSocket<Context>) {
    this.#host = host;
    this.#socket = socket;
  }

  onText(peer: WebSocketPeer<WebSocketSide>, text: Buffer): void {
    if (this.#stage === 'done') {
      this.#socket.onText(peer, text);
      return;
    }
    const kind = parsePacket(text.toString())?.kind;
    if (this.#stage === 'opened' && kind === 'probe') {
      this.#stage = 'probed';
      peer.sendText(packets.probed);
      this.#socket.probe();
    } else if (this.#stage === 'probed' && kind === 'upgrade' && this.#socket.isOpen) {
      this.#stage = 'done';
      this.#host.upgradeSettled(this);
      this.#socket.upgradeTo(peer);
    } else {
      this.giveUp();
    }
  }

  onBinary(peer: WebSocketPeer<WebSocketSide>, data: Buffer): void {
    if (this.#stage === 'done') this.#socket.onBinary(peer, data);
    else this.giveUp();
  }

  onDrain(): void {
    if (this.#stage === 'done') this.#socket.onDrain();
  }

  onClose(peer: WebSocketPeer<WebSocketSide>, code: number): void {
    if (this.#stage === 'done') {
      this.#socket.onClose(peer, code);
      return;
    }
    if (this.#stage === 'refused') return;
    this.#stage = 'over';
    this.#host.upgradeSettled(this);
    this.#socket.endUpgrade();
  }

  /** The session has a WebSocket, or is being given one. */
  refuse(): void {
    this.#stage = 'refused';
    this.peer.close(1002, 'no upgrade');
  }

  /** The session continues to poll. */
  giveUp(): void {
    if (this.#stage !== 'done') this.peer.close(1002, 'no upgrade');
  }
}
