import type { Wire } from './target.ts';
import { publishByPost } from './http/publish.ts';
import { publishByGrpc } from './grpc/publisher.ts';
import { publishByMqtt } from './mqtt/publisher.ts';
import type { Publisher } from './publisher.ts';
import { publishBySocketIo } from './socketio/publisher.ts';
import { publishByStomp } from './stomp/publisher.ts';
import { publishByWebSocket } from './websocket/publisher.ts';

const publishers: Readonly<Record<Wire, Publisher>> = {
  poll: publishByPost,
  longpoll: publishByPost,
  stream: publishByPost,
  sse: publishByPost,
  websocket: publishByWebSocket,
  stomp: publishByStomp,
  mqtt: publishByMqtt,
  socketio: publishBySocketIo,
  grpc: publishByGrpc,
};

export function publisherOf(wire: Wire): Publisher {
  return publishers[wire];
}
