import type { Origins } from '../http/origin.ts';
import type { Transport } from '../core/seams/transport.ts';
import type { HttpFront } from '../http/front.ts';
import type { WebhookSettings } from './webhook/transport.ts';
import type { ListenAddress } from '../net/listener.ts';
import type { TlsEnd } from '../net/tls-end.ts';
import { cloudEventNativeByte } from '@everywire/wires/webhook';
import { mqttNativeByte } from './mqtt/limits.ts';
import { socketioNativeByte } from './socketio/limits.ts';
import { stompNativeByte } from './stomp/limits.ts';

export interface TransportOptions {
  /** The HTTP port. */
  readonly front: HttpFront;
  /** Origins whose web pages may connect; absent: any, as long as authentication is off. */
  readonly allowedOrigins: Origins | undefined;
  /** The addresses of transports with a separate port. */
  readonly listen: Readonly<Record<'mqtt' | 'stomp' | 'grpc' | 'mqtts' | 'stomps', ListenAddress>>;
  /** Absent: the server uses no TLS. */
  readonly tls: TlsEnd | undefined;
  readonly webhooks: WebhookSettings;
}

export type TransportName =
  'poll' | 'stream' | 'sse' | 'websocket' | 'mqtt' | 'stomp' | 'socketio' | 'grpc' | 'webhook';

type Factory = (options: TransportOptions) => Promise<Transport>;

/** Imported on demand: a transport that is turned off costs nothing. */
const factories: Readonly<Record<TransportName, Factory>> = {
  poll: async ({ front }) => (await import('./poll/transport.ts')).createPollTransport(front),
  stream: async ({ front }) => (await import('./stream/transport.ts')).createStreamTransport(front),
  sse: async ({ front }) => (await import('./sse/transport.ts')).createSseTransport(front),
  websocket: async ({ front, allowedOrigins }) =>
    (await import('./websocket/transport.ts')).createWebSocketTransport(front, { allowedOrigins }),
  mqtt: async ({ front, allowedOrigins, listen, tls }) =>
    (await import('./mqtt/transport.ts')).createMqttTransport(front, {
      allowedOrigins,
      listen: listen.mqtt,
      listenSecurely: tls && { ...listen.mqtts, tls },
    }),
  stomp: async ({ front, allowedOrigins, listen, tls }) =>
    (await import('./stomp/transport.ts')).createStompTransport(front, {
      allowedOrigins,
      listen: listen.stomp,
      listenSecurely: tls && { ...listen.stomps, tls },
    }),
  socketio: async ({ front, allowedOrigins }) =>
    (await import('./socketio/transport.ts')).createSocketIoTransport(front, { allowedOrigins }),
  grpc: async ({ front, allowedOrigins, listen, tls }) =>
    (await import('./grpc/transport.ts')).createGrpcTransport(front, {
      allowedOrigins,
      listen: listen.grpc,
      tls,
    }),
  webhook: async ({ front, webhooks }) =>
    (await import('./webhook/transport.ts')).createWebhookTransport(front, webhooks),
};

/** All transports, in the order of the table of endpoints. */
export const transportNames = Object.keys(factories) as readonly TransportName[];

/** The transport of each first byte of `Draft.native`. Only the transport that wrote it reads the other bytes. */
export const nativeBytes: Readonly<Partial<Record<TransportName, number>>> = {
  mqtt: mqttNativeByte,
  stomp: stompNativeByte,
  socketio: socketioNativeByte,
  webhook: cloudEventNativeByte,
};

/** Two transports with the same byte would read each other's data. @throws RangeError a programming error, found at start */
export function checkNativeBytes(bytes: Readonly<Record<string, number>>): void {
  const owners = new Map<number, string>();
  for (const [name, byte] of Object.entries(bytes)) {
    const other = owners.get(byte);
    if (other !== undefined) throw new RangeError(`${name} and ${other} both have ${byte} as native byte.`);
    owners.set(byte, name);
  }
}

/** Makes a transport; it still has to be started. */
export async function createTransport(name: TransportName, options: TransportOptions): Promise<Transport> {
  return factories[name](options);
}
