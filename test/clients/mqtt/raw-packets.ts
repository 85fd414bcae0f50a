import type { Version } from '@everywire/wires/mqtt';

/** Packets byte by byte, right and wrong, for tests that must not trust our own encoders. */

/** A number is a byte, a text is one with its length before it, bytes are as they are. */
export type Part = number | string | Buffer;

export function bytesOf(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part]);
      if (typeof part !== 'string') return part;
      const text = Buffer.from(part);
      return Buffer.concat([uint16(text.length), text]);
    }),
  );
}

/** A packet whose remaining length is right. */
export function packet(first: number, ...parts: readonly Part[]): Buffer {
  const body = bytesOf(...parts);
  return Buffer.concat([Buffer.from([first]), varint(body.length), body]);
}

export const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    bytes.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest);
    if (rest < 0x80) return Buffer.from(bytes);
  }
}

/** Bytes as a field with a length before them, whether they are text or not. */
export const field = (...bytes: readonly number[]): Buffer =>
  Buffer.concat([uint16(bytes.length), Buffer.from(bytes)]);

export const surrogate = field(0x61, 0xed, 0xa0, 0x80);
export const overlong = field(0xc0, 0x80);
export const nul = field(0x61, 0x00);

/** Properties with their length before them. */
export function properties(...parts: readonly Part[]): Buffer {
  const body = bytesOf(...parts);
  return Buffer.concat([varint(body.length), body]);
}

/** Nothing before MQTT 5, an empty property length in it. */
export const empty = (version: Version): Buffer => Buffer.from(version === 5 ? [0] : []);

export interface RawConnect {
  readonly first?: number;
  readonly name?: Part;
  readonly level?: number;
  readonly flags?: number;
  readonly keepAlive?: Buffer;
  readonly properties?: Buffer;
  /** What comes behind the properties; the client id `c` when absent. */
  readonly payload?: readonly Part[];
}

/** A CONNECT of `version` in which something may be different. */
export function rawConnect(version: Version, given: RawConnect = {}): Buffer {
  return packet(
    given.first ?? 0x10,
    given.name ?? (version === 3 ? 'MQIsdp' : 'MQTT'),
    given.level ?? version,
    given.flags ?? 2,
    given.keepAlive ?? uint16(60),
    given.properties ?? empty(version),
    ...(given.payload ?? ['c']),
  );
}
