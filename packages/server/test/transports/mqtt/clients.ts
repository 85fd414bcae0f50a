import { once, type EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { startTestServer, type TestServer } from '../../../../../test/support/server.ts';

/** The ways in which the npm client speaks to the broker. */
export const ways = [
  { name: 'MQTT 3.1.1 over TCP', protocolVersion: 4, isWebSocket: false },
  { name: 'MQTT 5 over TCP', protocolVersion: 5, isWebSocket: false },
  { name: 'MQTT 3.1.1 over WebSocket', protocolVersion: 4, isWebSocket: true },
  { name: 'MQTT 5 over WebSocket', protocolVersion: 5, isWebSocket: true },
] as const;

export type Way = (typeof ways)[number];

export function urlOf(server: TestServer, { isWebSocket }: Pick<Way, 'isWebSocket'>): string {
  return isWebSocket ? `${server.url.replace('http', 'ws')}/mqtt` : server.mqtt!;
}

export interface Client {
  readonly mqtt: MqttClient;
  readonly sessionPresent: boolean;
  /** The next message; those that came before are kept. */
  next(): Promise<IPublishPacket>;
  /** Messages that came and were not taken. */
  readonly waiting: readonly IPublishPacket[];
}

export async function connect(
  server: TestServer,
  way: Pick<Way, 'protocolVersion' | 'isWebSocket'>,
  options: IClientOptions = {},
): Promise<Client> {
  const client = mqtt.connect(urlOf(server, way), {
    protocolVersion: way.protocolVersion,
    reconnectPeriod: 0,
    ...options,
  });
  // It writes acknowledgements and messages apart, which Nagle's algorithm would delay by 40 ms each.
  client.on('connect', () => {
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  });
  const waiting: IPublishPacket[] = [];
  const takers: ((packet: IPublishPacket) => void)[] = [];
  client.on('message', (_topic, _payload, packet) => {
    const taker = takers.shift();
    if (taker === undefined) waiting.push(packet);
    else taker(packet);
  });
  const failed = once(client as unknown as EventEmitter, 'error').then(([error]) => {
    throw error as Error;
  });
  failed.catch(() => undefined);
  const [connack] = (await Promise.race([once(client as unknown as EventEmitter, 'connect'), failed])) as [
    { sessionPresent: boolean },
  ];
  client.on('error', () => undefined);
  return {
    mqtt: client,
    sessionPresent: connack.sessionPresent,
    waiting,
    next: () => {
      const packet = waiting.shift();
      return packet === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(packet);
    },
  };
}

export { startTestServer, type TestServer };
