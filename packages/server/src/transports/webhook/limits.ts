import { durationPattern } from '@everywire/protocol';
import Type from 'typebox';
import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import type { HttpLimits } from '../../http/limits.ts';

const kib = 1024;

const strict = { additionalProperties: false };

export const webhookLimits = {
  webhooksMax: {
    default: 100,
    about: 'Webhooks of one subject, which everybody is while authentication is off, and of all together.',
  },
  webhooksInAllMax: { default: 10_000 },
  webhookTimeoutMs: {
    default: 15_000,
    about:
      'Webhooks: one attempt from the connection to the end of the answer, and how much of that is read.',
  },
  webhookAnswerBytesMax: { default: 64 * kib },
  webhooksPerHostMax: {
    default: 4,
    about: 'Attempts to one host, and of one webhook, at the same time.',
  },
  webhookWindowMessages: {
    default: 8,
    about: 'Messages that a webhook holds in memory while they wait for their turn in their channels.',
  },
  webhookParkedMax: {
    default: 100,
    about:
      'Channels of one webhook that are set aside while they fail; beyond that a channel that fails stops the others.',
  },
} satisfies LimitDeclarations;

export type WebhookLimits = HttpLimits & LimitsOf<typeof webhookLimits>;

export type WebhookHost = Host<WebhookLimits>;

/** The section `webhooks` of the configuration. */
export const webhooksSection = Type.Object(
  {
    allowTargets: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description:
        'Further targets besides the public Internet over https: host, *.host, address or network, with an optional :port.',
    }),
    verify: Type.Boolean({
      default: true,
      description: 'Ask a new endpoint to return a challenge, unless allowTargets names it.',
    }),
    retryDelays: Type.Array(
      Type.String({ pattern: durationPattern, words: 'a length of time', examples: ['5s', '2m', 'PT10H'] }),
      {
        default: ['5s', '30s', '2m', '10m', '30m', '2h', '5h', '10h'],
        minItems: 1,
        description:
          'Waits before the second attempt, the third and so on, each plus or minus a fifth; the last one repeats.',
      },
    ),
  },
  strict,
);
