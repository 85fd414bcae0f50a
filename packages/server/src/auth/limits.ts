import type { LimitDeclarations, Limits, LimitsOf } from '../core/limits.ts';

const kib = 1024;

export const authLimits = {
  tokenBytesMax: {
    default: 8 * kib,
    about:
      'A token, whole. Where it comes in a header, that has its own bound beside this one; in STOMP it is ' +
      'the smaller one.',
  },
  tokenRulesMax: {
    default: 256,
    about: 'Filters in each list of rights of a token.',
  },
  verifiedTokenBytesMax: {
    default: 8 * 1024 * kib,
    about:
      'Tokens that were verified lately are remembered by their hash, so many bytes of them: a signature ' +
      'costs 50 to 140 µs.',
  },
  keySetBytesMax: {
    default: 256 * kib,
    about: 'The key set of an issuer (`jwks`): its answer, the keys in it, and how long it may take.',
  },
  keySetKeysMax: { default: 100 },
  keySetTimeoutMs: { default: 10_000 },
  keySetRefreshMs: {
    default: 10 * 60_000,
    about:
      'A key set is fetched again when it is so old; earlier for a key that it lacks, though never sooner ' +
      'than this.',
  },
  keySetRefetchMs: { default: 30_000 },
  ticketAgeMsMax: {
    default: 30_000,
    about: 'How long a ticket is good, and how many wait for their use: of one subject, and in all.',
  },
  ticketsPerSubjectMax: { default: 64 },
  ticketsMax: { default: 10_000 },
  revocationsMax: {
    default: 100_000,
    about:
      'Revocations that are remembered, in memory too: some 20 MB. At so many, another is refused; none is ' +
      'forgotten for it.',
  },
} satisfies LimitDeclarations;

export type AuthLimits = Limits & LimitsOf<typeof authLimits> & { readonly jsonDepthMax: number };
