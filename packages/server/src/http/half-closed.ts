import type { IncomingMessage } from 'node:http';

/**
 * Calls `then` when the client closes its half of the connection, also when that happened before. Most such clients are
 * gone, so a request that waits for something is answered, or given up, at once. Returns a function that stops it.
 */
export function onHalfClosed({ socket, httpVersionMajor }: IncomingMessage, then: () => void): () => void {
  // In HTTP/2 a request ends its half of the stream with its last byte.
  if (httpVersionMajor >= 2) return () => undefined;
  if (socket.readableEnded) then();
  else socket.once('end', then);
  return () => void socket.off('end', then);
}
