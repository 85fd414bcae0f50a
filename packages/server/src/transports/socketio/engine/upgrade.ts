import type { WebSocketPeer } from '../../../websocket/peer.ts';
import { packets, parsePacket } from '@everywire/wires/socketio';
import type { EngineSocket } from './engine-socket.ts';
import type { WebSocketSide } from './websocket-side.ts';

/** The owner of upgrades. */
export interface UpgradeHost<Context> {
  /** The upgrade succeeded or failed. */
  upgradeSettled(upgrade: Upgrade<Context>): void;
}

/**
 * The probe of a WebSocket for a session that polls (protocol document, "Upgrade"): `2probe`, `3probe`, then `5` once
 * the peer has the answer to its last poll. Until then the session polls, and loses nothing if the probe fails.
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

  /** Refuses the WebSocket: the session has one, or another upgrade is running. */
  refuse(): void {
    this.#stage = 'refused';
    this.peer.close(1002, 'no upgrade');
  }

  /** The session continues to poll. */
  giveUp(): void {
    if (this.#stage !== 'done') this.peer.close(1002, 'no upgrade');
  }
}
