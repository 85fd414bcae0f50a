import http from 'node:http';
import { WebSocketServer } from 'ws';
import { listen } from './listen.ts';
import { servePeer } from './peer-calls.ts';

// What most people write first: `ws`, and a send per client.
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

servePeer(listen(server), (payload) => {
  for (const socket of sockets.clients) socket.send(payload);
});
