import net, { type Socket } from 'node:net';
import { listen } from './listen.ts';
import { servePeer } from './peer-calls.ts';

/**
 * A server without any work: it answers each request with the head of an endless response, and writes the same ready-made
 * bytes to every socket, at most once per millisecond. Its rate is the limit of the generator, and the bar for a real
 * server.
 */
const sockets = new Set<Socket>();
const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n';
const server = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
  socket.once('data', () => {
    socket.write(head);
    sockets.add(socket);
  });
});
let pending: string[] = [];

function flush(): void {
  const bytes = Buffer.from(pending.join(''));
  pending = [];
  for (const socket of sockets) socket.write(bytes);
}

servePeer(listen(server), (payload) => {
  if (pending.length === 0) setTimeout(flush, 1);
  pending.push(payload);
});
