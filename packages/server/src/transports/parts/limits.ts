import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';

const kib = 1024;

export const partsLimits = {
  commandsInFlightMax: {
    default: 1_024,
    about:
      'Commands of one connection that wait for the store, and their bytes; at so many, the server stops reading from it.',
  },
  commandsInFlightBytesMax: { default: 1024 * kib },
} satisfies LimitDeclarations;

export type PartsLimits = LimitsOf<typeof partsLimits>;
