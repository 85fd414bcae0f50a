import type { LimitDeclarations, Limits, LimitsOf } from '../core/limits.ts';

const kib = 1024;

export const authLimits = {
  tokenBytesMax: {
    default: 8 * kib,
    about:
      'Size of a token. A token in a header is also bound by the size of headers; in STOMP the smaller of both counts.',
  },
  tokenRulesMax: {
    default: 256,
    about: 'Filters in each list of rights of a token.',
  },
  verifiedTokenBytesMax: {
    default: 8 * 1024 * kib,
    about:
      'Memory for recently verified tokens, which are remembered by their hash: verifying a signature ' +
      'costs 50 to 140 µs.',
  },
  keySetBytesMax: {
    default: 256 * kib,
    about:
      'The key set of an issuer (`jwks`): size of its answer, number of keys, and time-out of the request.',
  },
  keySetKeysMax: { default: 100 },
  keySetTimeoutMs: { default: 10_000 },
  keySetRefreshMs: {
    default: 10 * 60_000,
    about:
      'A key set is fetched again at this age; earlier for a key that it lacks, though never sooner ' +
      'than this.',
  },
  keySetRefetchMs: { default: 30_000 },
  ticketAgeMsMax: {
    default: 30_000,
    about: 'How long a ticket is valid, and how many unused ones there may be: of one subject, and in all.',
  },
  ticketsPerSubjectMax: { default: 64 },
  ticketsMax: { default: 10_000 },
  revocationsMax: {
    default: 100_000,
    about:
      'Revocations that are kept, in memory too: some 20 MB. Beyond this a new one is refused; none is ' +
      'forgotten for it.',
  },
} satisfies LimitDeclarations;

export type AuthLimits = Limits & LimitsOf<typeof authLimits> & { readonly jsonDepthMax: number };
