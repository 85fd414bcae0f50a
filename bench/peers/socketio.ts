import http from 'node:http';
import { Server } from 'socket.io';
import { listen } from './listen.ts';
import { servePeer } from './peer-calls.ts';

// Socket.IO as its guide has it: one `emit` to everyone per message.
const server = http.createServer();
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false });

servePeer(listen(server), (payload) => io.emit('message', payload));
