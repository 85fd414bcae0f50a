import { packet, uint16 } from '../../clients/mqtt/raw-packets.ts';
import { cases } from '../../cases/mqtt.ts';
import type { Harness } from '../harness.ts';
import { checkPackets, connectedReader, packetBytesMax } from '../mqtt-reading.ts';

const x = Buffer.from('x');
const of = (version: 3 | 4, ...packets: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.of(version), ...packets]);

/** What a client of MQTT 3.1 (an odd first byte) or 3.1.1 sends after its CONNECT. */
export const harness: Harness = {
  name: 'mqtt-3',
  inputBytesMax: 500,
  seeds: [
    of(4, packet(0x30, 'a/b', x), packet(0x3d, 'a', uint16(7), x), packet(0x32, '/é//', uint16(8), x)),
    of(3, packet(0x3a, 'a/b', uint16(1), x)),
    of(4, packet(0x82, uint16(1), 'a/+/#', 2, '$share/g/b', 1, '$since/last-3/c', 0, '$SYS/#', 0)),
    of(4, packet(0xa2, uint16(2), 'a/#', 'b')),
    of(4, packet(0x40, uint16(1)), packet(0x50, uint16(1)), packet(0x62, uint16(1)), packet(0x70, uint16(1))),
    of(4, packet(0xc0), packet(0xe0)),
    of(3, packet(0x6a, uint16(1)), packet(0x8a, uint16(1), 'a', 1)),
    ...cases
      .filter(
        ({ isFirst, version, send }) => isFirst !== true && version === 4 && send.length <= packetBytesMax,
      )
      .map(({ send }) => of(4, send)),
  ],
  dictionary: [
    '$share/',
    '$since/',
    '$SYS/',
    Buffer.of(0, 1),
    Buffer.of(0x30),
    Buffer.of(0x82),
    Buffer.of(0x62, 2),
  ],
  run: (input) => {
    const version = ((input[0] ?? 0) & 1) === 1 ? 3 : 4;
    return checkPackets(input.subarray(1), () => connectedReader(version));
  },
};
