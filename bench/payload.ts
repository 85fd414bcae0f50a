import { nowUs } from './clock.ts';

/**
 * The payload of every benchmark, 64 bytes unless told otherwise, the same on every wire:
 *
 *     ^ewb: 0000012345678901 : 0000000042 : --------…
 *     │     │                  └ sequence number, from 1
 *     │     └ microseconds when it was published
 *     └ marker
 *
 * Plain ASCII that neither JSON nor SSE escapes, so a reader finds it inside any framing.
 */
export const payloadMarker = Buffer.from('^ewb:');
export const payloadBytesDefault = 64;
export const timeAt = payloadMarker.length;
export const timeDigits = 16;
export const seqAt = timeAt + timeDigits + 1;
export const seqDigits = 10;
/** Bytes from the marker to the end of the sequence number. A message counts when all of them have arrived. */
export const payloadHeadBytes = seqAt + seqDigits;

/** The payload with number `seq`, published now. */
export function makePayload(seq: number, bytes: number): string {
  const time = String(nowUs()).padStart(timeDigits, '0');
  const head = `${payloadMarker.toString()}${time}:${String(seq).padStart(seqDigits, '0')}`;
  return `${head}:`.padEnd(bytes, '-');
}

/** The decimal number of `digits` digits at `at`. */
export function readDigits(bytes: Buffer, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i++) value = value * 10 + (bytes[i]! - 48);
  return value;
}
