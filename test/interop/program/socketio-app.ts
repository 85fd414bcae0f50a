/**
 * A `socket.io` application as a process, for tests of the adapter. Prints its port. It acknowledges an event of a client
 * after it has handled it, as far as `socket.io` reports that.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from 'everywire/socket.io-adapter';
import { Server } from 'socket.io';

type Ack = (answer?: unknown) => void;

const [url, port] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, {
  adapter: createAdapter({ url: url!, heartbeatEveryMs: 200, heartbeatTimeoutMs: 1_000 }),
  connectionStateRecovery: {},
});

for (const ioNamespace of [io, io.of('/chat')]) {
  ioNamespace.on('connection', (socket) => {
    const data = socket.data as Record<string, unknown>;
    socket.on('name', (name: string, ack: Ack) => {
      data['name'] = name;
      ack();
    });
    socket.on('join', (room: string, ack: Ack) => {
      void socket.join(room);
      ack();
    });
    socket.on('leave', (room: string, ack: Ack) => {
      void socket.leave(room);
      ack();
    });
    socket.on('say', (room: string, ...args: unknown[]) => {
      ioNamespace.to(room).emit('said', ...args);
    });
    socket.on('say to', (rooms: string[], except: string[], ...args: unknown[]) => {
      ioNamespace
        .to(rooms)
        .except(except)
        .emit('said', ...args);
    });
    socket.on('say volatile', (room: string, ...args: unknown[]) => {
      ioNamespace.to(room).volatile.emit('said', ...args);
    });
    socket.on('say to others', (...args: unknown[]) => {
      socket.broadcast.emit('said', ...args);
    });
    socket.on('say to me', (count: number) => {
      for (let number = 1; number <= count; number += 1) socket.emit('said', number);
      socket.emit('asked', 'now?', () => socket.emit('said', 'answered'));
    });
    socket.on('ask', (room: string, ack: Ack) => {
      ioNamespace.to(room).emit('said', 'before the question');
      ioNamespace
        .to(room)
        .timeout(5_000)
        .emit('asked', 'name?', (error: Error | null, answers: unknown) => {
          ack(error === null ? answers : error.message);
        });
    });
    socket.on('servers', (ack: Ack) => {
      void ioNamespace.serverSideEmitWithAck('pid?').then(ack, (error: unknown) => ack(String(error)));
    });
    socket.on('sockets', (room: string, ack: Ack) => {
      void ioNamespace
        .in(room)
        .fetchSockets()
        .then((sockets) =>
          ack(sockets.map((one) => ({ id: one.id, rooms: [...one.rooms], data: one.data as unknown }))),
        );
    });
    socket.on('make join', (room: string, other: string) => {
      ioNamespace.in(room).socketsJoin(other);
      ioNamespace.to(other).emit('said', `welcome to ${other}`);
    });
    socket.on('make leave', (room: string) => {
      ioNamespace.to(room).emit('said', 'the last');
      ioNamespace.in(room).socketsLeave(room);
      ioNamespace.to(room).emit('said', 'to an empty room');
    });
    socket.on('throw out', (room: string) => {
      ioNamespace.to(room).emit('said', 'out with you');
      ioNamespace.in(room).disconnectSockets();
    });
    socket.on('describe me', (ack: Ack) => {
      ack({ recovered: socket.recovered, name: data['name'], rooms: [...socket.rooms] });
    });
  });
  ioNamespace.on('pid?', (ack: Ack) => {
    ack(process.pid);
  });
}

// Then the process ends by itself. `process.exit()` may hang (nodejs/node#54918).
process.on('SIGTERM', () => void io.close());
server.listen(Number(port ?? 0), '127.0.0.1', () => {
  console.log((server.address() as AddressInfo).port);
});
