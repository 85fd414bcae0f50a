import type { WebSocketHandlers, WebSocketPeer } from '../../../websocket/peer.ts';

/** The present owner of a WebSocket: a session, or the probe of an upgrade. */
export interface WebSocketSide {
  onText(peer: WebSocketPeer<WebSocketSide>, text: Buffer): void;
  onBinary(peer: WebSocketPeer<WebSocketSide>, data: Buffer): void;
  onClose(peer: WebSocketPeer<WebSocketSide>, code: number): void;
  onDrain(peer: WebSocketPeer<WebSocketSide>): void;
}

export const sideHandlers: WebSocketHandlers<WebSocketSide> = {
  onText: (peer, text) => peer.context.onText(peer, text),
  onBinary: (peer, data) => peer.context.onBinary(peer, data),
  onClose: (peer, code) => peer.context.onClose(peer, code),
  onDrain: (peer) => peer.context.onDrain(peer),
};
