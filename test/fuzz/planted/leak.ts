const kept: Uint8Array[] = [];

/** Forgets nothing. */
export function decodeLeaking(bytes: Uint8Array): boolean {
  kept.push(new Uint8Array(8 * 1024).fill(bytes.length));
  return true;
}
