import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitLines } from '../../src/http/lines.ts';

async function collect(chunks: readonly string[]): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const line of splitLines(Readable.from(chunks))) lines.push(line);
  return lines;
}

test('LF, CRLF and CR each end a line; what is not ended is none', async () => {
  expect(await collect(['a\nb\r\nc\rd\n\nrest'])).toEqual(['a', 'b', 'c', 'd', '']);
});

test('wherever the text is cut, the lines are the same', async () => {
  const piece = fc.constantFrom('a', 'bc', '\n', '\r\n', '\r', 'é', '');
  await fc.assert(
    fc.asyncProperty(fc.array(piece), fc.array(fc.nat(30)), async (pieces, cuts) => {
      const text = `${pieces.join('')}x\n`;
      const places = [0, ...cuts.map((cut) => cut % text.length), text.length].toSorted((a, b) => a - b);
      const chunks = places.slice(1).map((place, at) => text.slice(places[at], place));
      expect(await collect(chunks.filter((chunk) => chunk !== ''))).toEqual(await collect([text]));
    }),
  );
});
