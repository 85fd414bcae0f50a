import type { WebSocketHandlers, WebSocketPeer } from '../../../websocket/peer.ts';

/** Whoever a WebSocket belongs to at the time: a session, or one that is being tried for a session. */
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
