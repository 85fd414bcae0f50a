/**
 * An ordinary `socket.io` application: a chat with rooms. One line, `adapter`, makes it one of several processes, lets its
 * clients reconnect to any of them, and opens its rooms to every other transport.
 *
 *     node examples/socketio-app/server.ts 3001 http://localhost:8080
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createAdapter } from '@everywire/socketio-adapter';
import { Server } from 'socket.io';

const [port = '3001', everywire = 'http://localhost:8080'] = process.argv.slice(2);
const page = readFileSync(new URL('index.html', import.meta.url));

const http = createServer((_request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page);
});
const io = new Server(http, {
  adapter: createAdapter({ url: everywire }),
  connectionStateRecovery: { maxDisconnectionDuration: 10 * 60_000 },
});

/** The last messages of a room: the log of its channel, which any client can also read without Socket.IO. */
async function said(room: string): Promise<unknown[]> {
  const answer = await fetch(`${everywire}/channels/socket.io/_/${encodeURIComponent(room)}?limit=20`);
  const { messages } = (await answer.json()) as {
    messages: { event?: string; data: unknown; cursor: string }[];
  };
  return messages.filter(({ event }) => event === 'chat').map(({ data, cursor }) => [data, cursor]);
}

io.on('connection', (socket) => {
  console.log(`${socket.id} is ${socket.recovered ? 'back' : 'new'}`);
  socket.on('enter', (room: string, done: (said: unknown[]) => void) => {
    void socket.join(room);
    said(room).then(done, (error: unknown) => console.error(`no history: ${String(error)}`));
  });
  socket.on('chat', (room: string, name: string, text: string) => {
    io.to(room).emit('chat', { name, text });
  });
});

http.listen(Number(port), () => {
  console.log(`http://localhost:${port}/, its rooms at ${everywire}/channels/socket.io/_/<room>`);
});
