import { isDeepStrictEqual } from 'node:util';

/** Gives the chunks to a new reader, and returns all that it said, as plain values. */
export type ReadChunks = (chunks: readonly Buffer[]) => readonly unknown[];

/** An input that a reader understands differently when it is cut. */
export interface CutFault {
  readonly place: number | 'single bytes';
  readonly said: readonly unknown[];
  readonly saidOfWhole: readonly unknown[];
}

export interface Tried {
  /** Ways in which the input was cut, the whole included. */
  readonly cuts: number;
  readonly faults: readonly CutFault[];
}

/** Inputs up to this length are cut at every byte. */
export const everyPlaceUpTo = 1_000;
/** Longer ones are cut at as many bytes of their beginning and of their end, where the heads and the marks are. */
const edgePlaces = 50;
/** And at this many places between. */
const innerPlaces = 20;
/** Longer ones are not read in single bytes, and cut at few places: of thousands of frames each reading takes long. */
const singleBytesMax = 70_000;

function placesOf(length: number): readonly number[] {
  const places = Array.from({ length: Math.max(0, length - 1) }, (_, at) => at + 1);
  if (length <= everyPlaceUpTo) return places;
  const step = Math.floor(length / innerPlaces);
  const edge = length <= singleBytesMax ? edgePlaces : 5;
  return places.filter((at) => at <= edge || at >= length - edge || at % step === 0);
}

/**
 * Gives `bytes` to `read` whole, in single bytes, and in two parts cut at every place. A cut must not change what is
 * said, and the first part alone, which is all that comes of a connection that breaks, must say nothing else than the
 * whole does.
 */
export function tryEveryCut(bytes: Buffer, read: ReadChunks): Tried {
  // Some readers change a chunk in place.
  const copyOf = (from: number, to: number): Buffer => Buffer.from(bytes.subarray(from, to));
  const { length } = bytes;
  const saidOfWhole = read([copyOf(0, length)]);
  const faults: CutFault[] = [];
  const expectSaid = (place: CutFault['place'], said: readonly unknown[], expected = saidOfWhole): void => {
    if (!isDeepStrictEqual(said, expected)) faults.push({ place, said, saidOfWhole });
  };
  let cuts = 1;
  if (length <= singleBytesMax) {
    cuts += 1;
    expectSaid('single bytes', read(Array.from({ length }, (_, at) => copyOf(at, at + 1))));
  }
  for (const place of placesOf(length)) {
    cuts += 2;
    expectSaid(place, read([copyOf(0, place), copyOf(place, length)]));
    const saidOfPart = read([copyOf(0, place)]);
    expectSaid(place, saidOfPart, saidOfWhole.slice(0, saidOfPart.length));
  }
  return { cuts, faults };
}
