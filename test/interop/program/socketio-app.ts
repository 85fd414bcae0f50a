/**
 * A `socket.io` application in a process of its own, for tests: port 0, one adapter. Prints its port. Clients `join` rooms;
 * `say` broadcasts to a room and is acknowledged when the adapter has taken it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from 'everywire/socket.io-adapter';
import { Server } from 'socket.io';

const [url, port] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, {
  adapter: createAdapter({ url: url!, heartbeatEveryMs: 500, heartbeatTimeoutMs: 2_000 }),
  connectionStateRecovery: {},
});

io.on('connection', (socket) => {
  const { data } = socket as { data: { name?: string } };
  data.name ??= String(socket.handshake.auth['name']);
  socket.on('join', (room: string, ack: () => void) => {
    void socket.join(room);
    ack();
  });
  socket.on('say', (room: string, ...args: unknown[]) => {
    io.to(room).emit('said', ...args);
  });
  socket.on('whoami', (ack: (name: string | undefined, rooms: string[]) => void) => {
    ack(data.name, [...socket.rooms]);
  });
});

process.on('SIGTERM', () => {
  void io.close().then(() => process.exit(0));
});
server.listen(Number(port ?? 0), '127.0.0.1', () => {
  console.log((server.address() as AddressInfo).port);
});
