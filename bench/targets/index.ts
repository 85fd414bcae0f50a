import { aedes } from './aedes.ts';
import { everywire } from './everywire.ts';
import { mosquitto } from './mosquitto.ts';
import { nchan } from './nchan.ts';
import { rabbitmq } from './rabbitmq.ts';
import { selfPublishing } from './self-publishing.ts';
import type { Target } from './target.ts';

export const ours: readonly Target[] = [everywire('lmdb'), everywire('memory')];

export const peers: readonly Target[] = [
  selfPublishing({
    name: 'ws, a send each',
    peer: 'ws',
    program: './peers/ws-loop.ts',
    wire: 'websocket',
    path: '/',
    needs: 'ws',
  }),
  selfPublishing({
    name: 'node:http SSE, a write each',
    peer: 'http-sse',
    program: './peers/http-sse-loop.ts',
    wire: 'sse',
    path: '/',
  }),
  selfPublishing({
    name: 'Socket.IO',
    peer: 'socketio',
    program: './peers/socketio.ts',
    wire: 'socketio',
    path: '/socket.io/',
    needs: 'socket.io',
  }),
  selfPublishing({
    name: 'connect-node, a yield each',
    peer: 'connect-node',
    program: './peers/connect-node.ts',
    wire: 'grpc',
    path: '/everywire.v1.Messaging/Subscribe#bench',
    needs: '@connectrpc/connect-node',
  }),
  selfPublishing({
    name: 'grpc-js, a write each',
    peer: 'grpc-js',
    program: './peers/grpc-js.ts',
    wire: 'grpc',
    path: '/bench.Broadcast/Subscribe',
    needs: '@grpc/grpc-js',
  }),
  nchan,
  mosquitto,
  aedes,
  rabbitmq,
];

/** The server that does nothing, which shows the generator's own limit. */
export const readyMade: Target = selfPublishing({
  name: 'ready-made buffers',
  peer: 'ready-made',
  program: './peers/ready-made.ts',
  wire: 'bytes',
  path: '/',
});
