import type { LimitDeclarations, Limits, LimitsOf } from '../core/limits.ts';

export const netLimits = {
  heartbeatEveryMs: {
    default: 15_000,
    about: 'How often the server sends a heartbeat on a quiet stream, WebSocket or HTTP/2 connection.',
  },
  pingsPerSecondMax: {
    default: 20,
    about: 'WebSocket pings a peer may send per second.',
  },
  closeTimeoutMs: {
    default: 5_000,
    about: 'Time for a peer to answer our Close before the socket is ended.',
  },
} satisfies LimitDeclarations;

/** The limits of all parts with sockets. */
export type NetLimits = Limits & LimitsOf<typeof netLimits>;
