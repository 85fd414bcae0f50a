import type { Socket } from 'node:net';

/** How long a refused peer may continue to send before it is cut. */
const lingerMs = 2_000;

/**
 * Sends the last bytes and closes. Reads and discards the peer's input for a while: a socket closed with unread input
 * sends RST, and that can overtake the answer (RFC 9112 §9.6).
 */
export function endAfter(socket: Socket, bytes: Buffer): void {
  if (socket.destroyed) return;
  // The peer may be gone; then nothing can be sent.
  socket.on('error', () => socket.destroy());
  const cut = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(cut));
  socket.once('end', () => socket.destroySoon());
  socket.end(bytes);
  socket.resume();
}
