import { EverywireError } from '@everywire/protocol';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pathOf, refuseUpgrade } from '../http/upgrades.ts';
import { acceptance, checkHandshake, type Handshake, type HandshakeRules } from './handshake.ts';
import { WebSocketPeer } from './peer.ts';
import type { PeerGroup } from './peer-group.ts';

export interface PeerOptions<Context> {
  readonly group: PeerGroup<Context>;
  readonly context: Context;
  /** Further header fields of the 101. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * Answers an opening handshake: with 101 and a peer, or with a problem document and no peer. Handles no input of the
 * peer before it returns.
 */
export function acceptWebSocket<Context>(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: PeerOptions<Context> & HandshakeRules,
): WebSocketPeer<Context> | undefined {
  const handshake = readHandshake(request, socket, options);
  return handshake && completeHandshake(socket, head, handshake, options);
}

/**
 * The first half, for callers with further checks before the 101. Answers a failed check itself. Until
 * `completeHandshake`, a broken socket is only destroyed.
 */
export function readHandshake(
  request: IncomingMessage,
  socket: Duplex,
  rules: HandshakeRules,
): Handshake | undefined {
  const handshake = checkHandshake(request, rules);
  if (handshake instanceof EverywireError) {
    refuseUpgrade(socket, pathOf(request), handshake);
    return undefined;
  }
  // Node removed its own listener, and an error without a listener would end the process.
  socket.on('error', destroyIt);
  return handshake;
}

/** The second half: sends the 101, and reads frames from here on. */
export function completeHandshake<Context>(
  socket: Duplex,
  head: Buffer,
  handshake: Handshake,
  options: PeerOptions<Context>,
): WebSocketPeer<Context> {
  socket.write(acceptance(handshake, options.headers));
  // Frames may have come in one packet with the request.
  if (head.length > 0) socket.unshift(head);
  const peer = new WebSocketPeer(socket, options.group, options.context);
  socket.off('error', destroyIt);
  return peer;
}

function destroyIt(this: Duplex): void {
  this.destroy();
}
