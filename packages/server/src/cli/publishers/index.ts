import type { Wire } from '../target.ts';
import { publishByPost } from './http.ts';
import { publishByGrpc } from './grpc.ts';
import { publishByMqtt } from './mqtt.ts';
import type { Publisher } from './publisher.ts';
import { publishBySocketIo } from './socketio.ts';
import { publishByStomp } from './stomp.ts';
import { publishByWebSocket } from './websocket.ts';

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
