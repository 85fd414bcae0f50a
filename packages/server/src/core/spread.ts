import type { Random } from './clock.ts';

/**
 * A random time from `leastMs` to `share` of it more, after which one peer should reconnect. Peers that lost the same
 * server would otherwise all reconnect in the same moment.
 */
export function spreadMs(leastMs: number, random: Random, share = 1): number {
  const chance = Number.parseInt(random.hex(2), 16) / 0xffff;
  return Math.round(leastMs * (1 + share * chance));
}
