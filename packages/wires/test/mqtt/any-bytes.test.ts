import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clientReader,
  encodePacket,
  serverReader,
  type Packet,
  type PacketReader,
  type Version,
} from '../../src/mqtt/index.ts';
import { clientPackets, serverPackets, versions } from './packet-arbitraries.ts';
import { bytewise, connectedReader, cut, packetBytesMax, plainConnect, readAll } from './reading.ts';

/** For any bytes: packets or a named fault, never an exception, and the same in every chunking. */

const places = fc.array(fc.nat(), { maxLength: 8 });

function checkFault(said: readonly { readonly type: string }[]): void {
  const at = said.findIndex(({ type }) => type === 'fault');
  if (at < 0) return;
  expect(at, 'nothing is read behind a fault').toBe(said.length - 1);
  expect(said[at]).toMatchObject({
    kind: expect.any(String) as string,
    statement: expect.stringMatching(/^§?\d/) as string,
    detail: expect.stringMatching(/\.$/) as string,
  });
}

function checkEveryChunking(makeReader: () => PacketReader, bytes: Buffer, where: readonly number[]): void {
  const whole = readAll(makeReader(), [bytes]);
  checkFault(whole);
  expect(readAll(makeReader(), cut(bytes, where))).toEqual(whole);
  expect(readAll(makeReader(), bytewise(bytes))).toEqual(whole);
}

const anyBytes = fc.uint8Array({ maxLength: 120 }).map((one) => Buffer.from(one));
/** Bytes that come further than most: a first byte that is one, and a length that fits. */
const likely = fc
  .tuple(fc.constantFrom(0x10, 0x30, 0x32, 0x35, 0x40, 0x50, 0x62, 0x82, 0xa2, 0xc0, 0xe0, 0xf0), anyBytes)
  .map(([first, body]) => Buffer.concat([Buffer.from([first, body.length]), body]));

describe.each(versions)('MQTT level %i', (version) => {
  test('any bytes of a client', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, likely), places, (bytes, where) => {
        checkEveryChunking(() => connectedReader(version), bytes, where);
      }),
      { numRuns: 1_000 },
    );
  });

  test('any bytes of a server', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, likely), places, (bytes, where) => {
        checkEveryChunking(() => clientReader(version, { packetBytesMax }), bytes, where);
      }),
      { numRuns: 500 },
    );
  });

  test('any bytes behind the level of a CONNECT', () => {
    const head = encodePacket(plainConnect(version), version)!.subarray(2, version === 3 ? 11 : 9);
    fc.assert(
      fc.property(anyBytes, places, (body, where) => {
        const packet = Buffer.concat([head, body]);
        const bytes = Buffer.concat([Buffer.from([0x10, packet.length % 0x80]), packet]);
        checkEveryChunking(() => serverReader({ packetBytesMax }), bytes, where);
      }),
      { numRuns: 500 },
    );
  });
});

test('any first bytes of a connection', () => {
  fc.assert(
    fc.property(anyBytes, places, (bytes, where) => {
      checkEveryChunking(() => serverReader({ packetBytesMax }), bytes, where);
    }),
  );
});

/** Changes that keep most of a packet, like those of a careless or a hostile client. */
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
  fc.record({
    kind: fc.constant('set' as const),
    at: fc.nat(),
    byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff),
  }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), byte: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat() }),
);

function mutate(
  bytes: Buffer,
  changes: readonly (typeof mutation extends fc.Arbitrary<infer One> ? One : never)[],
): Buffer {
  let changed: number[] = [...bytes];
  for (const change of changes) {
    const at = change.at % Math.max(1, changed.length);
    if (change.kind === 'flip') changed[at] = (changed[at] ?? 0) ^ (1 << change.bit);
    else if (change.kind === 'set') changed[at] = change.byte;
    else if (change.kind === 'remove') changed.splice(at, 1);
    else if (change.kind === 'insert') changed.splice(at, 0, change.byte);
    else changed = [...changed.slice(0, at), ...changed];
  }
  return Buffer.from(changed.slice(0, 20_000));
}

test('20,000 packets with a change or two', () => {
  const seeds = versions.flatMap((version) => [
    fc.record({
      version: fc.constant(version),
      from: fc.constant('client' as const),
      packet: clientPackets(version),
    }),
    fc.record({
      version: fc.constant(version),
      from: fc.constant('server' as const),
      packet: serverPackets(version),
    }),
  ]);
  let faults = 0;
  fc.assert(
    fc.property(
      fc.oneof(...seeds),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      places,
      ({ version, from, packet }, changes, where) => {
        const bytes = mutate(encodePacket(packet, version)!, changes);
        const makeReader = () => readerFor(from, version, packet);
        const whole = readAll(makeReader(), [bytes]);
        checkFault(whole);
        expect(readAll(makeReader(), cut(bytes, where))).toEqual(whole);
        for (const one of whole) {
          if (one.type === 'fault') faults += 1;
          else checkReencodes(one, makeReader, version);
        }
      },
    ),
    { numRuns: 20_000 },
  );
  expect(faults).toBeGreaterThan(5_000);
}, 120_000);

function readerFor(from: 'client' | 'server', version: Version, packet: Packet): PacketReader {
  if (from === 'server') return clientReader(version, { packetBytesMax });
  return packet.type === 'connect' ? serverReader({ packetBytesMax }) : connectedReader(version);
}

/** What was read can be written, and is read again as the same: nothing is half understood. */
function checkReencodes(packet: Packet, makeReader: () => PacketReader, version: Version): void {
  const own = packet.type === 'connect' ? packet.version : version;
  const bytes = encodePacket(packet, own);
  expect(bytes).toBeDefined();
  const reader = makeReader();
  if (packet.type !== 'connect' && reader.version === undefined) return;
  expect(readAll(reader, [bytes!])).toEqual([packet]);
}
