import type { TransportDriver } from './driver.ts';
import { grpcDriver } from './grpc.ts';
import { grpcStreamDriver } from './grpc-stream.ts';
import { longPollDriver, pollDriver, sseDriver, streamDriver } from './http.ts';
import { mqttDrivers } from './mqtt.ts';
import { socketIoPollingDriver, socketIoWebSocketDriver } from './socketio.ts';
import { stompTcpDriver, stompWebSocketDriver } from './stomp.ts';
import { webhookDriver } from './webhook.ts';
import { everywireDriver, rawWebSocketDriver } from './websocket.ts';

/** Every way to read that there is. The cross matrix takes all pairs, so a new transport joins by one line here. */
export const drivers: readonly TransportDriver[] = [
  pollDriver,
  longPollDriver,
  streamDriver,
  sseDriver,
  rawWebSocketDriver,
  everywireDriver,
  socketIoWebSocketDriver,
  socketIoPollingDriver,
  stompTcpDriver,
  stompWebSocketDriver,
  ...mqttDrivers,
  grpcDriver,
  grpcStreamDriver,
  webhookDriver,
];
