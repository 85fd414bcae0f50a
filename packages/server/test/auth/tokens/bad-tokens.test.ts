import { EverywireError } from '@everywire/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createVerifier, type TokenVerifier } from '../../../src/auth/tokens/verifier.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { expShapes, prepareTokenCorpus, tokenCases, type TokenCorpus } from '../bad-tokens.ts';
import { memoryLog } from './memory-log.ts';

let corpus: TokenCorpus;
let verifier: TokenVerifier;
const log = memoryLog();

beforeAll(async () => {
  corpus = await prepareTokenCorpus();
  verifier = createVerifier({ issuers: corpus.issuers, clock: systemClock, log, limits: defaultLimits });
});
afterAll(async () => {
  verifier.stop();
  await corpus.stop();
});

const context = () => ({ nowMs: Date.now(), trapUrl: corpus.trap.url });

test('each case has its own name, and there are as many as were promised', () => {
  expect(new Set(tokenCases.map(({ id }) => id)).size).toBe(tokenCases.length);
  expect(tokenCases.length).toBeGreaterThanOrEqual(70);
  expect(expShapes).toHaveLength(16);
});

test.each(tokenCases)('$id $what', async ({ make, refused }) => {
  const token = make(context());
  if (refused === undefined) {
    const identity = await verifier.verify(token);
    expect(identity).toMatchObject({ isAdmin: false, claims: { publish: ['**'] } });
    expect(new Date(identity.claims!.expiresAtMs).getTime()).toBeGreaterThan(Date.now());
    return;
  }
  const error: unknown = await verifier.verify(token).catch((caught: unknown) => caught);
  if (!(error instanceof EverywireError)) throw new Error('it was taken, or refused in the wrong way');
  expect({ code: error.code, cause: error.cause }).toEqual({ code: 'unauthorized', cause: undefined });
  expect(error.message).toMatch(refused);
  expect(sharedText(error.message, token)).toBeUndefined();
  // The first look must not have remembered it as good.
  await expect(verifier.verify(token)).rejects.toThrow(refused);
});

test('nothing was connected to but the two key sets, once each', () => {
  expect(corpus.trap.connections).toBe(0);
  for (const keySet of corpus.keySets) expect(keySet.requests).toBe(1);
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

/** Six letters in a row that a text has from a token; shorter ones are in words too. */
function sharedText(text: string, token: string): string | undefined {
  for (let at = 0; at + 6 <= token.length && at < 20_000; at += 1) {
    const piece = token.slice(at, at + 6);
    if (text.includes(piece)) return piece;
  }
  return undefined;
}
