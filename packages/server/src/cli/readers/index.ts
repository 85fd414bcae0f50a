import type { Wire } from '../target.ts';
import { readByLongPolling, readByPolling } from './poll.ts';
import type { Reader } from './reader.ts';
import { readBySse } from './sse.ts';
import { readByGrpc } from './grpc.ts';
import { readByMqtt } from './mqtt.ts';
import { readBySocketIo } from './socketio.ts';
import { readByStomp } from './stomp.ts';
import { readByStream } from './stream.ts';
import { readByWebSocket } from './websocket.ts';

const readers: Readonly<Record<Wire, Reader>> = {
  poll: readByPolling,
  longpoll: readByLongPolling,
  stream: readByStream,
  sse: readBySse,
  websocket: readByWebSocket,
  stomp: readByStomp,
  mqtt: readByMqtt,
  socketio: readBySocketIo,
  grpc: readByGrpc,
};

export function readerOf(wire: Wire): Reader {
  return readers[wire];
}
