import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import type { HttpLimits } from '../../http/limits.ts';

export const pollLimits = {
  waitMsMax: {
    default: 45_000,
    about: "Longest long poll. Proxies and load balancers commonly cut at 60 s, Debian's HAProxy at 50 s.",
  },
} satisfies LimitDeclarations;

export type PollLimits = HttpLimits & LimitsOf<typeof pollLimits>;

export type PollHost = Host<PollLimits>;
