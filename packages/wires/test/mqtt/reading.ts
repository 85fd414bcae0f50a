import {
  encodePacket,
  serverReader,
  type Connect,
  type MqttFault,
  type Packet,
  type PacketReader,
  type Version,
} from '../../src/mqtt/index.ts';

/** How tests look at what a reader makes of bytes. */

export const packetBytesMax = 100_000;

export function plainConnect(version: Version, given: Partial<Connect> = {}): Connect {
  return {
    type: 'connect',
    version,
    cleanStart: true,
    keepAliveSeconds: 60,
    clientId: 'c',
    will: undefined,
    userName: undefined,
    password: undefined,
    properties: {},
    ...given,
  };
}

/** A server's reader that has read the CONNECT of a client of `version`. */
export function connectedReader(version: Version): PacketReader {
  const reader = serverReader({ packetBytesMax });
  reader.push(encodePacket(plainConnect(version), version)!);
  if (reader.next()?.type !== 'connect') throw new Error('the CONNECT is not read');
  return reader;
}

/** All that `reader` says to the chunks, the last of it a fault when there is one. */
export function readAll(reader: PacketReader, chunks: readonly Buffer[]): (Packet | MqttFault)[] {
  const said: (Packet | MqttFault)[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let one = reader.next(); one !== undefined; one = reader.next()) said.push(one);
  }
  return said;
}

/** `bytes` in chunks that end at `places`, taken modulo their number. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

export const bytewise = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));

export function concat(packets: readonly Packet[], version: Version): Buffer {
  return Buffer.concat(packets.map((packet) => encodePacket(packet, version)!));
}
