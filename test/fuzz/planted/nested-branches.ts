/** Throws for one beginning of six bytes, which is reached by getting one byte after the other right. */
export function decodeNested(bytes: Uint8Array): number {
  let depth = 0;
  if (bytes[0] === 0xc3) {
    depth = 1;
    if (bytes[1] === 0x17) {
      depth = 2;
      if (bytes[2] === 0x9a) {
        depth = 3;
        if (bytes[3] === 0x5e) {
          depth = 4;
          if (bytes[4] === 0xe1) {
            depth = 5;
            if (bytes[5] === 0x2d) throw new RangeError('the planted fault');
          }
        }
      }
    }
  }
  return depth;
}
