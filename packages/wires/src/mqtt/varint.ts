/** Variable byte integers (MQTT 5 §1.5.5, the remaining length of 3.1.1 §2.2.3): seven bits a byte, lowest first. */

/** The number of bytes for `value`, the fewest possible [MQTT-1.5.5-1]. */
export function varintBytes(value: number): 1 | 2 | 3 | 4 {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

/** Writes `value` at `at` and returns the position after it. */
export function writeVarint(bytes: Buffer, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at] = rest;
  return at + 1;
}
