import type { Wire } from './target.ts';
import { readByLongPolling, readByPolling } from './http/poll.ts';
import type { Reader } from './reader.ts';
import { readBySse } from './http/sse.ts';
import { readByGrpc } from './grpc/reader.ts';
import { readByMqtt } from './mqtt/reader.ts';
import { readBySocketIo } from './socketio/reader.ts';
import { readByStomp } from './stomp/reader.ts';
import { readByStream } from './http/stream.ts';
import { readByWebSocket } from './websocket/reader.ts';

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
