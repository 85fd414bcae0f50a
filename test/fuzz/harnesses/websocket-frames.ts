import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { FrameReader, type Received } from '@everywire/wires/websocket';
import type { Harness } from '../harness.ts';
import { chunkingsOf } from '../tools.ts';

const limits = { messageBytesMax: 1_000, fragmentsMax: 8 };

/** With a mask of zeros, so that changes hit what is said; with another where that is the point. */
function frame(first: number, payload: string | Buffer, mask = 0, lengthBytes?: 2 | 8): Buffer {
  const bytes = Buffer.from(payload as string);
  const width = lengthBytes ?? (bytes.length < 126 ? 0 : bytes.length < 0x1_0000 ? 2 : 8);
  const head = Buffer.alloc(2 + width + 4);
  head[0] = first;
  head[1] = 0x80 | (width === 0 ? bytes.length : width === 2 ? 126 : 127);
  if (width === 2) head.writeUInt16BE(bytes.length, 2);
  else if (width === 8) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  head.writeUInt32LE(mask, 2 + width);
  for (let at = 0; at < bytes.length; at += 1) bytes[at]! ^= mask >>> ((at & 3) * 8);
  return Buffer.concat([head, bytes]);
}

export const harness: Harness = {
  name: 'websocket-frames',
  inputBytesMax: 1_400,
  seeds: [
    frame(0x81, 'hello'),
    frame(0x81, 'κόσμε'),
    frame(0x82, Buffer.alloc(200, 7), 0x12345678),
    frame(0x81, 'x'.repeat(130), 0x7fffffff),
    Buffer.concat([
      frame(0x01, 'κ'),
      frame(0x89, 'p'),
      frame(0x00, Buffer.from([0xcf])),
      frame(0x80, Buffer.from([0x8c])),
    ]),
    Buffer.concat([
      frame(0x82, ''),
      frame(0x8a, ''),
      frame(0x88, Buffer.from([0x03, 0xe8, 0x62, 0x79, 0x65])),
    ]),
    Buffer.concat([frame(0x02, 'a'), ...Array.from({ length: 9 }, () => frame(0x00, 'b'))]),
    frame(0x81, Buffer.from([0xf4, 0x90, 0x80, 0x80])),
    frame(0x81, 'five!', 0, 2),
    frame(0x82, 'five!', 0, 8),
    frame(0x82, Buffer.alloc(1_001)),
    frame(0x88, ''),
    frame(0x88, 'x'),
    frame(0x88, Buffer.from([0x03, 0xed])),
    frame(0x80, 'nothing to continue'),
    frame(0xc1, 'a reserved bit'),
    frame(0x83, 'a reserved opcode'),
    Buffer.concat([Buffer.from([0x81, 0x05]), Buffer.from('plain')]),
    Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
  ],
  dictionary: [
    Buffer.from([0x81, 0x80]),
    Buffer.from([0x01, 0x81]),
    Buffer.from([0x80, 0x81]),
    Buffer.from([0x88, 0x82]),
  ],
  run: (input) => {
    const whole = readAll([Buffer.from(input)]);
    for (const chunks of chunkingsOf(input)) {
      assert.deepEqual(readAll(chunks), whole, 'what is read does not depend on how it was cut');
    }
    let bytes = 0;
    for (const [at, one] of whole.entries()) {
      if (one.kind === 'broken' || one.kind === 'close') {
        assert.equal(at, whole.length - 1, 'nothing is read behind the end');
        continue;
      }
      bytes += one.payload.length;
      assert.ok(one.payload.length <= limits.messageBytesMax);
      if (one.kind === 'text') assert.ok(isUtf8(one.payload));
    }
    assert.ok(bytes <= input.length, 'nothing comes out that did not go in');
    return whole.some(({ kind }) => kind !== 'broken');
  },
};

function readAll(chunks: readonly Buffer[]): Received[] {
  const reader = new FrameReader(limits);
  const read: Received[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let one = reader.next(); one !== undefined; one = reader.next()) read.push(copied(one));
  }
  return read;
}

/** Payloads may be parts of chunks. */
function copied(one: Received): Received {
  return 'payload' in one ? { ...one, payload: Buffer.from(one.payload) } : one;
}
