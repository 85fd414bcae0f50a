import {
  clientReader,
  encodePacket,
  type ClientPacket,
  type ServerPacket,
  type UserProperties,
} from '@everywire/wires/mqtt';
import { openByteStream } from '../byte-stream.ts';
import { Refused } from '../http/request.ts';
import type { Target } from '../target.ts';

/** A connection that speaks MQTT 5, once CONNACK has come. */
export interface MqttClient {
  send(packet: ClientPacket): void;
  /** The next packet from the server. A DISCONNECT is thrown. @throws Refused, Cut */
  next(): Promise<ServerPacket>;
  close(): void;
}

const version = 5;
/** What a server may send: the standard's own maximum is for the server to stay below. */
const packetBytesMax = 16 * 1024 * 1024;
const keepAliveSeconds = 30;
/** Half of that, so that there is an answer in every keep alive. */
const pingEveryMs = 15_000;

/** @throws Unreachable, Refused, Cut */
export async function openMqtt(target: Target, signal: AbortSignal): Promise<MqttClient> {
  const stream = await openByteStream(target, {
    path: '/mqtt',
    protocol: 'mqtt',
    isText: false,
    idleMs: 3 * pingEveryMs,
    signal,
  });
  const reader = clientReader(version, { packetBytesMax });
  const chunks = stream.chunks[Symbol.asyncIterator]();
  const next = async (): Promise<ServerPacket> => {
    for (;;) {
      const packet = reader.next();
      if (packet?.type === 'fault') throw new Refused(`that is not MQTT: ${packet.detail}`, {});
      if (packet !== undefined) return checkPacket(packet);
      const chunk = await chunks.next();
      if (chunk.done !== true) reader.push(chunk.value);
    }
  };
  const send = (packet: ClientPacket): void => {
    const bytes = encodePacket(packet, version);
    if (bytes !== undefined) stream.write(bytes);
  };
  try {
    send({
      type: 'connect',
      version,
      cleanStart: true,
      keepAliveSeconds,
      clientId: '',
      will: undefined,
      userName: undefined,
      password: target.token === undefined ? undefined : Buffer.from(target.token),
      properties: {},
    });
    const connack = await next();
    if (connack.type !== 'connack') throw new Refused(`CONNECT was answered ${connack.type}`, {});
    checkReason('CONNECT', connack.reasonCode, connack.properties.reasonString);
  } catch (error) {
    stream.close();
    throw error;
  }
  const pinging = setInterval(() => send({ type: 'pingreq' }), pingEveryMs);
  pinging.unref();
  return {
    send,
    next,
    close() {
      clearInterval(pinging);
      send({ type: 'disconnect', reasonCode: 0, properties: {} });
      stream.close();
    },
  };
}

/** What may be worth another try: server unavailable, busy, shutting down, session taken over, connection rate. */
const passing: ReadonlySet<number> = new Set([0x88, 0x89, 0x8b, 0x8d, 0x96, 0x9f]);

/** @throws Refused */
export function checkReason(what: string, reasonCode: number, reasonString: string | undefined): void {
  if (reasonCode < 0x80) return;
  const words = reasonString === undefined ? '' : `: ${reasonString}`;
  throw new Refused(`${what} was refused with reason code 0x${reasonCode.toString(16)}${words}`, {
    status: passing.has(reasonCode) ? 503 : undefined,
  });
}

/** The last value of a user property. */
export function propertyOf(properties: UserProperties | undefined, name: string): string | undefined {
  return properties?.findLast(([known]) => known === name)?.[1];
}

function checkPacket(packet: ServerPacket): ServerPacket {
  if (packet.type !== 'disconnect') return packet;
  checkReason('the connection', Math.max(packet.reasonCode, 0x80), packet.properties.reasonString);
  return packet;
}
