import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientReader, encodePacket, serverReader, type Packet } from '../../src/mqtt/index.ts';
import { clientPackets, serverPackets, versions } from './packet-arbitraries.ts';
import { concat, connectedReader, cut, packetBytesMax, readAll } from './reading.ts';

const places = fc.array(fc.nat(), { maxLength: 12 });

describe.each(versions)('MQTT level %i', (version) => {
  test('what a client encodes is what the server reads', () => {
    fc.assert(
      fc.property(clientPackets(version), (packet) => {
        const bytes = encodePacket(packet, version)!;
        const reader =
          packet.type === 'connect' ? serverReader({ packetBytesMax }) : connectedReader(version);
        expect(readAll(reader, [bytes])).toEqual([packet]);
        expect(reader.version).toBe(version);
        expect(reader.pendingBytes).toBe(0);
      }),
      { numRuns: 600 },
    );
  });

  test('what a server encodes is what the client reads', () => {
    fc.assert(
      fc.property(serverPackets(version), (packet) => {
        const reader = clientReader(version, { packetBytesMax });
        expect(readAll(reader, [encodePacket(packet, version)!])).toEqual([packet]);
      }),
      { numRuns: 600 },
    );
  });

  test('packets in chunks of any size are the same packets', () => {
    const several = fc.array(
      clientPackets(version).filter(({ type }) => type !== 'connect'),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(several, places, (packets: Packet[], where) => {
        const bytes = concat(packets, version);
        expect(readAll(connectedReader(version), cut(bytes, where))).toEqual(packets);
      }),
      { numRuns: 300 },
    );
  });
});
