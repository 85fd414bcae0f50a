import type { LimitDeclarations, LimitsOf } from '../core/limits.ts';
import type { HttpLimits } from '../http/limits.ts';

export const websocketLimits = {
  fragmentsMax: {
    default: 64,
    about:
      'WebSocket: frames per message, beside one for each KiB of it, and unanswerable or malformed commands before ' +
      'the connection is closed.',
  },
  badCommandsMax: { default: 10 },
} satisfies LimitDeclarations;

export type WebSocketLimits = HttpLimits & LimitsOf<typeof websocketLimits>;
