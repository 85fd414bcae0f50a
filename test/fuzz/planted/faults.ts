import { crc32 } from 'node:zlib';

/** Faults that the engine looks for, each behind a word which this source does not say. */
export function decodeFaulty(bytes: Uint8Array): boolean {
  switch (crc32(bytes)) {
    case slow:
      spin(120_000);
      return true;
    case hang:
      spin(Number.POSITIVE_INFINITY);
      return true;
    case pollute:
      Object.assign(Object.prototype, { polluted: true });
      return true;
    case exit:
      // Of a thread, that ends the thread.
      return process.exit();
    case explode:
      for (const kept: Uint8Array[] = []; ;) kept.push(new Uint8Array(1 << 22).fill(1));
    default:
      return false;
  }
}

const slow = 0x350771dd;
const hang = 0xbe6b1335;
const pollute = 0x8125e3b3;
const exit = 0x9409840e;
const explode = 0x54732c8d;

/** Works for that much processor time of this thread, independent of other threads. */
function spin(durationMicros: number): void {
  const { user } = process.threadCpuUsage();
  while (process.threadCpuUsage().user - user < durationMicros);
}
