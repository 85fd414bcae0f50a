import { serverReader } from '@everywire/wires/mqtt';
import { packet, properties, rawConnect, uint16, uint32 } from '../../clients/mqtt/raw-packets.ts';
import { cases } from '../../cases/mqtt.ts';
import type { Harness } from '../harness.ts';
import { checkPackets, packetBytesMax } from '../mqtt-reading.ts';

/** The first bytes of a connection, of any version. */
export const harness: Harness = {
  name: 'mqtt-connect',
  inputBytesMax: 500,
  seeds: [
    rawConnect(3),
    rawConnect(4, { flags: 0xee, payload: ['c', 'will/topic', 'bye', 'user', 'secret'] }),
    rawConnect(5, {
      flags: 0xf6,
      properties: properties(
        0x11,
        uint32(60),
        0x21,
        uint16(10),
        0x27,
        uint32(1_000),
        0x22,
        uint16(4),
        0x19,
        1,
        0x17,
        0,
        0x26,
        'n',
        'v',
        0x15,
        'SCRAM',
        0x16,
        'data',
      ),
      payload: [
        'c',
        properties(
          0x18,
          uint32(5),
          0x01,
          1,
          0x02,
          uint32(9),
          0x03,
          'text/plain',
          0x08,
          'r',
          0x09,
          'cd',
          0x26,
          'a',
          'b',
        ),
        'will/topic',
        'bye',
        'user',
        'secret',
      ],
    }),
    Buffer.concat([
      rawConnect(4),
      packet(0x32, 'a', uint16(1), Buffer.from('x')),
      packet(0x82, uint16(2), 'a/#', 1),
    ]),
    ...cases
      .filter(({ isFirst, send }) => isFirst === true && send.length <= packetBytesMax)
      .map(({ send }) => send),
  ],
  dictionary: [
    rawConnect(5),
    'MQTT',
    'MQIsdp',
    Buffer.of(0, 4),
    Buffer.of(0x26),
    Buffer.of(0x11, 0, 0, 0, 1),
  ],
  run: (input) => checkPackets(input, () => serverReader({ packetBytesMax })),
};
