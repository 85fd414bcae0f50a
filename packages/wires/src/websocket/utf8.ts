import { isUtf8 } from 'node:buffer';

/**
 * Checks incomplete text: whether `bytes[from, to)` can be the start of UTF-8 (RFC 3629). Returns the end of its last
 * complete character, from which to continue, or -1 if no further bytes can make it UTF-8.
 */
export function utf8Progress(bytes: Buffer, from: number, to: number): number {
  const end = lastBoundary(bytes, from, to);
  if (!isUtf8(bytes.subarray(from, end))) return -1;
  return end < to && !canContinue(bytes, end, to) ? -1 : end;
}

/** The start of a character that `to` cuts; `to` if it cuts none. */
function lastBoundary(bytes: Buffer, from: number, to: number): number {
  for (let at = to - 1; at >= from && at >= to - 3; at -= 1) {
    const byte = bytes[at]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > to - at ? at : to;
  }
  return to;
}

/** RFC 3629 §4: the first two bytes show overlong forms, surrogates and code points above U+10FFFF. */
function canContinue(bytes: Buffer, at: number, to: number): boolean {
  const lead = bytes[at]!;
  if (lead < 0xc2 || lead > 0xf4) return false;
  if (to - at === 1) return true;
  const second = bytes[at + 1]!;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second < 0x90;
  return true;
}
