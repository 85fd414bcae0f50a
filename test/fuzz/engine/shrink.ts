/**
 * A smaller input for which `holds` still holds: parts are left out, halves first, then ever smaller ones, then bytes
 * become plain. Asks `holds` at most `triesMax` times.
 */
export async function shrink(
  input: Buffer,
  holds: (candidate: Buffer) => Promise<boolean>,
  triesMax: number,
): Promise<Buffer> {
  let best = input;
  let tries = 0;
  const isBetter = async (candidate: Buffer): Promise<boolean> => {
    tries += 1;
    if (!(await holds(Buffer.from(candidate)))) return false;
    best = candidate;
    return true;
  };
  for (let part = best.length >> 1; part >= 1; part >>= 1) {
    for (let at = 0; at < best.length && tries < triesMax;) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + part)]);
      if (!(await isBetter(without))) at += part;
    }
  }
  for (let at = 0; at < best.length && tries < triesMax; at += 1) {
    if (best[at] === 0x30) continue;
    const plain = Buffer.from(best);
    plain[at] = 0x30;
    await isBetter(plain);
  }
  return best;
}
