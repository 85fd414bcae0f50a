import type { Random } from '../core/clock.ts';

/**
 * When one peer is to come back: after `leastMs` and up to `share` of it more, by chance. Peers that lost the same server
 * would otherwise all come back in the same moment.
 */
export function spreadMs(leastMs: number, random: Random, share = 1): number {
  const chance = Number.parseInt(random.hex(2), 16) / 0xffff;
  return Math.round(leastMs * (1 + share * chance));
}

/** Waits for peers that were told to go, and cuts those that are left when `deadline` aborts. */
export async function cutAt(
  deadline: AbortSignal,
  { gone, cut }: { readonly gone: Promise<unknown>; readonly cut: () => void },
): Promise<void> {
  if (deadline.aborted) cut();
  else deadline.addEventListener('abort', cut, { once: true });
  await gone;
  deadline.removeEventListener('abort', cut);
}
