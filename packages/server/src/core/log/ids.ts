import type { Clock, Random } from '../clock.ts';

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * Makes message ids in the form of ULIDs: ten characters of time and sixteen of chance. The latter are hex digits, all
 * of which are Crockford digits: 64 random bits per millisecond, more than any publisher's rate needs.
 */
export function createIds(clock: Pick<Clock, 'nowMs'>, random: Random): () => string {
  let lastMs = -1;
  let time = '';
  return () => {
    const nowMs = Math.max(0, Math.trunc(clock.nowMs()));
    if (nowMs !== lastMs) {
      lastMs = nowMs;
      time = encodeTime(nowMs);
    }
    return time + random.hex(8).toUpperCase();
  };
}

function encodeTime(timeMs: number): string {
  let rest = timeMs;
  let text = '';
  for (let digit = 0; digit < 10; digit += 1) {
    text = crockford[rest % 32]! + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
