import { packet, properties, uint16, uint32 } from '../../clients/mqtt/raw-packets.ts';
import { cases } from '../../cases/mqtt.ts';
import type { Harness } from '../harness.ts';
import { checkPackets, connectedReader, packetBytesMax } from '../mqtt-reading.ts';

const x = Buffer.from('x');

/** What a client of MQTT 5 sends after its CONNECT. */
export const harness: Harness = {
  name: 'mqtt-5',
  inputBytesMax: 500,
  seeds: [
    packet(0x30, 'a/b', properties(), x),
    packet(
      0x3b,
      'a',
      uint16(7),
      properties(
        0x01,
        1,
        0x02,
        uint32(60),
        0x03,
        'application/json',
        0x08,
        'r',
        0x09,
        'cd',
        0x23,
        uint16(1),
        0x26,
        'n',
        'v',
        0x26,
        'n',
        'w',
        0x26,
        'everywire-id',
        'x',
      ),
      Buffer.from('{"a":1}'),
    ),
    packet(0x34, '', uint16(9), properties(0x23, uint16(3)), x),
    packet(
      0x82,
      uint16(1),
      properties(0x0b, 5, 0x26, 'since', 'earliest'),
      'a/+/#',
      0x2d,
      '$share/g/b',
      1,
      '$since/-5m/c',
      2,
      '$SYS/#',
      0,
    ),
    packet(0xa2, uint16(2), properties(0x26, 'n', 'v'), 'a/#', 'b'),
    packet(0x40, uint16(1)),
    packet(0x50, uint16(1), 0x10),
    packet(0x62, uint16(1), 0x92, properties(0x1f, 'why', 0x26, 'n', 'v')),
    packet(0x70, uint16(1), 0, properties()),
    packet(0xc0),
    packet(0xe0, 0x04, properties(0x11, uint32(5), 0x1f, 'bye', 0x26, 'n', 'v')),
    packet(0xe0),
    packet(0xf0, 0x18, properties(0x15, 'SCRAM', 0x16, 'data', 0x1f, 'r')),
    Buffer.concat([packet(0xc0), packet(0x30, 'é', properties(), x), packet(0xc0)]),
    ...cases
      .filter(
        ({ isFirst, version, send }) => isFirst !== true && version === 5 && send.length <= packetBytesMax,
      )
      .map(({ send }) => send),
  ],
  dictionary: [
    '$share/',
    '$since/',
    '$SYS/',
    'since',
    'after',
    'cursor',
    'everywire-',
    ...[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x1f, 0x23, 0x26].map((id) => Buffer.of(id)),
  ],
  run: (input) => checkPackets(input, () => connectedReader(5)),
};
