import { clientReader } from '@everywire/wires/mqtt';
import { packet, properties, uint16, uint32 } from '../../clients/mqtt/raw-packets.ts';
import type { Harness } from '../harness.ts';
import { checkPackets, packetBytesMax } from '../mqtt-reading.ts';

const x = Buffer.from('x');
const of = (version: 3 | 4 | 5, ...packets: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.of(version), ...packets]);

/** What a server sends, read by our command line; the first byte chooses the version. */
export const harness: Harness = {
  name: 'mqtt-server-packets',
  inputBytesMax: 500,
  seeds: [
    of(4, packet(0x20, 1, 0), packet(0x90, uint16(1), 0, 1, 2, 0x80), packet(0xb0, uint16(1)), packet(0xd0)),
    of(
      5,
      packet(
        0x20,
        0,
        0,
        properties(
          0x11,
          uint32(1),
          0x21,
          uint16(5),
          0x24,
          1,
          0x25,
          0,
          0x27,
          uint32(99),
          0x12,
          'id',
          0x22,
          uint16(2),
          0x1f,
          'r',
          0x28,
          1,
          0x29,
          1,
          0x2a,
          0,
          0x13,
          uint16(9),
          0x1a,
          'ri',
          0x1c,
          'sr',
        ),
      ),
    ),
    of(
      5,
      packet(0x90, uint16(1), properties(0x1f, 'r'), 0, 0x87),
      packet(0xb0, uint16(1), properties(), 0, 0x11),
    ),
    of(
      5,
      packet(0x3b, 'a', uint16(7), properties(0x0b, 1, 0x0b, 2, 0x26, 'cursor', 'c'), x),
      packet(0xe0, 0x8b, properties(0x1c, 'other')),
    ),
    of(3, packet(0x20, 0, 5), packet(0x30, 'a', x)),
  ],
  run: (input) => {
    const version = ([3, 4, 5] as const)[(input[0] ?? 0) % 3]!;
    return checkPackets(input.subarray(1), () => clientReader(version, { packetBytesMax }));
  },
};
