import type { Socket } from 'node:net';

/** How long a refused peer may go on sending before it is cut. */
const lingerMs = 2_000;

/**
 * Sends the last bytes and closes. What the peer still sends is read and thrown away for a while: a socket closed with
 * unread input sends RST, and that can overtake the answer (RFC 9112 §9.6).
 */
export function endAfter(socket: Socket, bytes: Buffer): void {
  if (socket.destroyed) return;
  // The peer may be gone; then there is nobody to tell.
  socket.on('error', () => socket.destroy());
  const cut = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(cut));
  socket.once('end', () => socket.destroySoon());
  socket.end(bytes);
  socket.resume();
}
