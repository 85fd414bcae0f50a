import fc from 'fast-check';
import { isUtf8 } from 'node:buffer';
import { expect, test } from 'vitest';
import * as ws from 'ws';
import type { Writable } from 'node:stream';
import { closeBody, frame, opcodes, textFrames } from '../../src/websocket/frames.ts';

// Exported by the package and missing from its types.
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

/** Reads server frames with another implementation's parser. */
async function readWithWs(bytes: Buffer): Promise<{ data: Buffer; isBinary: boolean }[]> {
  const receiver = new Receiver({ isServer: false, binaryType: 'nodebuffer' });
  const messages: { data: Buffer; isBinary: boolean }[] = [];
  receiver.on('message', (data: Buffer, isBinary: boolean) => messages.push({ data, isBinary }));
  await new Promise<void>((resolve, reject) => {
    receiver.on('error', reject);
    receiver.on('finish', resolve);
    receiver.end(bytes);
  });
  return messages;
}

test.each([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])('a frame of %i bytes', async (length) => {
  const payload = Buffer.alloc(length, 0x61);
  expect(await readWithWs(frame(opcodes.binary, payload))).toEqual([{ data: payload, isBinary: true }]);
});

test('text frames are one buffer whose ends are the frames', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), { minLength: 1 }),
      async (texts) => {
        const { bytes, ends } = textFrames(texts);
        const messages = await readWithWs(bytes);
        expect(messages.map(({ data }) => data.toString())).toEqual(texts);
        let from = 0;
        for (const [at, end] of ends.entries()) {
          expect((await readWithWs(bytes.subarray(from, end))).map(({ data }) => data.toString())).toEqual([
            texts[at],
          ]);
          from = end;
        }
        expect(from).toBe(bytes.length);
      },
    ),
    { numRuns: 50 },
  );
});

test('a close reason that is too long is cut between characters', () => {
  const body = closeBody(4002, '한'.repeat(100));
  expect(body.length).toBeLessThanOrEqual(125);
  expect(isUtf8(body.subarray(2))).toBe(true);
  expect(body.subarray(2).toString()).toBe('한'.repeat(41));
  expect(closeBody(1000).toString('hex')).toBe('03e8');
});
