// Below this size, a view of 32-bit words costs more time than it saves.
const wordsFromBytes = 96;
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Masks or unmasks `bytes[start, end)` in place (RFC 6455 §5.3), four bytes at a time: a byte loop takes about as long
 * for a 64 KiB message as all other work together. `mask` holds the first byte of the masking key in its lowest bits;
 * `phase` is the number of earlier payload bytes.
 */
export function unmask(bytes: Buffer, start: number, end: number, mask: number, phase: number): void {
  const shift = (phase & 3) * 8;
  let key = shift === 0 ? mask : (mask >>> shift) | (mask << (32 - shift));
  let at = start;
  if (isLittleEndian && end - start >= wordsFromBytes) {
    for (; ((bytes.byteOffset + at) & 3) !== 0; at += 1) {
      bytes[at]! ^= key;
      key = (key >>> 8) | (key << 24);
    }
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >> 2);
    for (let word = 0; word < words.length; word += 1) words[word]! ^= key;
    at += words.length * 4;
  }
  for (; at < end; at += 1) {
    bytes[at]! ^= key;
    key = (key >>> 8) | (key << 24);
  }
}
