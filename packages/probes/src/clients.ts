import type { OpenSession } from './session.ts';
import type { Wire } from './target.ts';

/** Loaded on demand: the client of gRPC alone takes longer to load than all others together. */
const clients: Readonly<Record<Wire, () => Promise<OpenSession>>> = {
  poll: async () => (await import('./http/session.ts')).openHttp,
  longpoll: async () => (await import('./http/session.ts')).openHttp,
  stream: async () => (await import('./http/session.ts')).openHttp,
  sse: async () => (await import('./http/session.ts')).openHttp,
  websocket: async () => (await import('./websocket/session.ts')).openWebSocket,
  stomp: async () => (await import('./stomp/session.ts')).openStomp,
  mqtt: async () => (await import('./mqtt/session.ts')).openMqtt,
  socketio: async () => (await import('./socketio/session.ts')).openSocketIo,
  grpc: async () => (await import('./grpc/session.ts')).openGrpc,
};

export async function clientOf(wire: Wire): Promise<OpenSession> {
  return clients[wire]();
}
