import fc from 'fast-check';

/** Text as it may arrive: cut into chunks at any UTF-16 unit, or as bytes at any byte. */
export function anyChunks(text: string): fc.Arbitrary<readonly (string | Uint8Array)[]> {
  const bytes = new TextEncoder().encode(text);
  const cutAt = (length: number) => fc.uniqueArray(fc.nat(length), { maxLength: 6 });
  const ofText = cutAt(text.length).map((cuts) => pieces(cuts, text.length, (a, b) => text.slice(a, b)));
  const ofBytes = cutAt(bytes.length).map((cuts) =>
    pieces<string | Uint8Array>(cuts, bytes.length, (a, b) => bytes.subarray(a, b)),
  );
  return fc.oneof(ofText, ofBytes);
}

function pieces<T>(cuts: readonly number[], length: number, slice: (from: number, to: number) => T): T[] {
  const ends = [...cuts].sort((a, b) => a - b);
  return [0, ...ends].map((from, at) => slice(from, ends[at] ?? length));
}

/** The text in two chunks, at each place, and in single bytes. */
export function everyCut(text: string): readonly (readonly Uint8Array[])[] {
  const bytes = new TextEncoder().encode(text);
  const twos = Array.from({ length: bytes.length + 1 }, (_, at) => [
    bytes.subarray(0, at),
    bytes.subarray(at),
  ]);
  return [...twos, Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))];
}
