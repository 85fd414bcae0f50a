import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { EverywireError, parseFilter } from '@everywire/protocol';
import { createVerifier, type Verifier } from '../../../packages/server/src/auth/tokens/verifier.ts';
import type { Identity } from '../../../packages/server/src/core/sessions/access.ts';
import type { Clock } from '../../../packages/server/src/core/clock.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import type { Harness } from '../harness.ts';
import { audience, issuer, keySet, tokens } from '../minted-tokens.ts';

const nowMs = 1_800_000_000_000;
/** Small, so that what is remembered of tokens is at its bound soon, and growth beyond that shows. */
const limits = { ...defaultLimits, verifiedTokenBytesMax: 16 * 1024 };
const secret = 'a secret of this harness alone, of more than 32 bytes';
const quiet = (): void => undefined;
const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => 0,
  after: () => ({ cancel: quiet }),
  turn: quiet,
};
const log = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (fields: object) =>
    assert.fail(`a signature raised what it should not: ${String((fields as { err?: unknown }).err)}`),
};
const options = {
  clock,
  log,
  limits,
  fetchKeySet: () => Promise.resolve(Buffer.from(JSON.stringify(keySet))),
};

/** All tokens that the private keys have signed, and those of the secret, which have no audience. */
const bySet = createVerifier({
  ...options,
  issuers: [{ issuer, audience, jwks: 'https://keys.example/set' }],
});
const byOneKey = keySet.keys.map((key) =>
  createVerifier({ ...options, issuers: [{ issuer, audience, publicKey: JSON.stringify(key) }] }),
);
const bySecret = createVerifier({ ...options, issuers: [{ secret }] });
const byNamedSecret = createVerifier({
  ...options,
  issuers: [
    { issuer, audience, secret },
    { issuer: 'https://other.example', publicKey: JSON.stringify(keySet.keys[0]) },
  ],
});
const minted = new Set(Object.values(tokens));

const text = 't';
const signed = 's';
const header = '{"alg":"HS256","typ":"JWT"}';
const rights = '"everywire":{"subscribe":["chat/**","!chat/x"],"publish":["user/{sub}/*"],"admin":false}';
const claims = (more: string): string => `${signed}${header}\n{"sub":"user-1","exp":1900000000${more}}`;

/**
 * Beginning with `t`: the text of a token. Otherwise a header, a line feed and claims, which are signed with the secret: so
 * what is behind the signature is reached.
 */
export const harness: Harness = {
  name: 'token-verifier',
  inputBytesMax: 1_200,
  runsInCi: 3_000,
  seeds: [
    ...Object.values(tokens).map((token) => text + token),
    `${text}${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"x","exp":1900000000}').toString('base64url')}.`,
    `${text}a.b.c.d.e`,
    claims(''),
    claims(`,${rights}`),
    claims(
      `,"iss":"${issuer}","aud":["x","${audience}"],"nbf":1700000000,"iat":1700000000.5,"jti":"1",${rights}`,
    ),
    claims(',"everywire":{"admin":true}'),
    claims(',"everywire":{"subscribe":["**","+/#","!$SYS/#"]}'),
    `${signed}{"alg":"HS256","kid":"../../etc/passwd"}\n{"sub":"a/b","exp":1900000000,${rights}}`,
    `${signed}{"alg":"RS256","typ":"at+jwt","kid":"rs256"}\n{"sub":"#","exp":"1900000000"}`,
    `${signed}{"alg":"HS256","jwk":{},"crit":["b64"],"b64":false}\n{}`,
    `${signed}${header}\n{"sub":"!x","exp":1900000000,"exp":2000000000,"__proto__":{"admin":true}}`,
    ...[
      '1e400',
      '-1',
      '0',
      'null',
      '[]',
      '1799999999.9',
      '9007199254740992',
      '253402300800',
      '1800000000',
    ].map((exp) => `${signed}${header}\n{"sub":"u","exp":${exp}}`),
  ],
  dictionary: [
    '"alg":',
    '"none"',
    '"HS256"',
    '"RS256"',
    '"kid":',
    '"exp":',
    '"nbf":',
    '"iat":',
    '"aud":',
    '"iss":',
    '"sub":',
    '{sub}',
    '"!',
    '**',
    '"admin":true',
    '"jwk":',
    '"jku":',
    '"crit":',
    '\\u0000',
    '\\ud800',
  ],
  run: async (input) => {
    const body = input.subarray(1).toString();
    if (!input.subarray(0, 1).equals(Buffer.from(text))) return checkSigned(body);
    let accepted = 0;
    for (const verifier of [bySet, bySecret, byNamedSecret, ...byOneKey]) {
      const identity = await verified(verifier, body);
      if (identity === undefined) continue;
      accepted += 1;
      assert.ok(minted.has(body), 'only the issuer makes a token');
      assert.equal(identity.subject, 'user-1');
      assert.equal(identity.isAdmin, false);
    }
    if (minted.has(body)) assert.equal(accepted, 2, 'a token is taken by the set and by its own key alone');
    return accepted > 0;
  },
};

async function checkSigned(body: string): Promise<boolean> {
  const end = body.indexOf('\n');
  if (end < 0) return false;
  const head = Buffer.from(body.slice(0, end)).toString('base64url');
  const payload = Buffer.from(body.slice(end + 1)).toString('base64url');
  const mac = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url');
  const token = `${head}.${payload}.${mac}`;
  assert.equal(await verified(bySet, token), undefined, 'a secret is no key of a set');
  for (const verifier of byOneKey)
    assert.equal(await verified(verifier, token), undefined, 'nor is it a public key');

  const identity = await verified(bySecret, token);
  if (identity === undefined) return false;
  const said = JSON.parse(body.slice(end + 1)) as Record<string, unknown>;
  checkIdentity(identity, said);
  const named = await verified(byNamedSecret, token);
  if (named !== undefined) assert.equal(said['iss'], issuer);
  // The second time, the verifier returns the remembered identity.
  assert.equal(await verified(bySecret, token), identity);
  return true;
}

function checkIdentity({ subject, isAdmin, claims }: Identity, said: Record<string, unknown>): void {
  assert.equal(subject, said['sub']);
  assert.ok(subject !== undefined && subject.length > 0 && subject.isWellFormed());
  assert.doesNotMatch(subject, /[\u0000-\u001f\u007f-\u009f+#*]/, 'it is safe in a rule and in a log line');
  assert.equal(said['aud'], undefined, 'a verifier without an audience accepts no token with one');
  assert.ok(typeof said['exp'] === 'number' && said['exp'] * 1_000 > nowMs);
  assert.ok(claims !== undefined && claims.expiresAtMs > nowMs && Number.isSafeInteger(claims.expiresAtMs));
  assert.ok(!Number.isNaN(new Date(claims.expiresAtMs).getTime()));
  if (claims.issuedAtMs !== undefined) assert.ok(claims.issuedAtMs <= nowMs);
  const { admin = false } = (said['everywire'] ?? {}) as { readonly admin?: unknown };
  assert.equal(isAdmin, admin, 'only the claim makes an administrator');
  for (const rule of [...claims.subscribe, ...claims.publish]) {
    const filter = rule.startsWith('!') ? rule.slice(1) : rule;
    assert.equal(parseFilter(filter, limits).text, filter, 'rules are filters in their one spelling');
  }
}

async function verified(verifier: Verifier, token: string): Promise<Identity | undefined> {
  try {
    return await verifier.verify(token);
  } catch (error) {
    if (!(error instanceof EverywireError) || error.code !== 'unauthorized') throw error;
    assert.match(error.message, /^[\x20-\x7e]+$/, 'a refusal has nothing of the token in it');
    for (const part of token.split('.')) {
      // Shorter parts may be words of the message itself, because a token can contain such a word.
      if (part.length >= 16)
        assert.ok(!error.message.includes(part), 'a refusal has no part of the token in it');
    }
    return undefined;
  }
}
