import { generateKeyPairSync } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mint, testSecret, type MintedClaims } from '../../../../../test/support/tokens.ts';
import { createVerifier, type Issuer, type TokenVerifier } from '../../../src/auth/tokens/verifier.ts';
import type { Identity } from '../../../src/core/sessions/access.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import { HandClock } from '../hand-clock.ts';
import { hmac, joinToken } from '../token-text.ts';
import { memoryLog } from './memory-log.ts';

const clock = new HandClock();
const nowSeconds = clock.wallMs / 1_000;
const log = memoryLog();

function verifierOf(issuer: Issuer, limits: Partial<AllLimits> = {}, time = clock): TokenVerifier {
  return createVerifier({
    issuers: [issuer],
    clock: time,
    log,
    limits: { ...defaultLimits, ...limits },
  });
}

const verifier = verifierOf({ secret: testSecret });

/** A token that is good for a minute of the test's clock. */
const token = (claims: MintedClaims = {}): Promise<string> =>
  mint(testSecret, { iat: nowSeconds - 1, exp: nowSeconds + 60, ...claims });

const identify = async (claims: MintedClaims): Promise<Identity> => verifier.verify(await token(claims));

describe('an identity', () => {
  test('is the subject, its rights as filters are written once, and its dates', async () => {
    const identity = await identify({
      sub: 'alice',
      jti: 'one',
      subscribe: ['chat/+/{sub}', '!chat/secret/#', '#'],
      publish: ['{sub}-{sub}/in'],
    });
    expect(identity).toEqual({
      subject: 'alice',
      isAdmin: false,
      claims: {
        subscribe: ['chat/*/alice', '!chat/secret/**', '**'],
        publish: ['alice-alice/in'],
        expiresAtMs: clock.wallMs + 60_000,
        issuedAtMs: clock.wallMs - 1_000,
        tokenId: 'one',
      },
    });
  });

  test('may do nothing where the token does not say', async () => {
    for (const raw of [{ everywire: undefined }, { everywire: {} }, { everywire: { admin: false } }]) {
      const { isAdmin, claims } = await identify({ raw });
      expect({ isAdmin, subscribe: claims!.subscribe, publish: claims!.publish }).toEqual({
        isAdmin: false,
        subscribe: [],
        publish: [],
      });
    }
  });

  test('of an administrator may everything that its lists do not say otherwise', async () => {
    const rightsOf = async (claims: MintedClaims) => {
      const { isAdmin, claims: read } = await identify({ admin: true, ...claims });
      return [isAdmin, read!.subscribe, read!.publish];
    };
    expect(await rightsOf({})).toEqual([true, ['**'], ['**']]);
    expect(await rightsOf({ subscribe: ['a'] })).toEqual([true, ['a'], ['**']]);
    expect(await rightsOf({ publish: [] })).toEqual([true, ['**'], []]);
  });

  test.each(['a$&b', "$'", '$$', '..', '{sub}', 'а', '__proto__', 'toString', 'a!b', 'a@b', 'a\u2028b'])(
    'with the subject %j has that and nothing else in its rules',
    async (sub) => {
      // One that begins with $ is refused, since names of the server do.
      const subject = sub.startsWith('$') ? `x${sub}` : sub;
      const { claims } = await identify({ sub: subject, subscribe: ['u/{sub}/x', '!v/{sub}'] });
      expect(claims!.subscribe).toEqual([`u/${subject}/x`, `!v/${subject}`]);
    },
  );

  test.each([
    ['a/b', 'a%2Fb'],
    ['a%2Fb', 'a%252Fb'],
    ['ann+test@mail.example', 'ann%2Btest@mail.example'],
    ['#', '%23'],
    ['**', '%2A%2A'],
    ['$SYS', '%24SYS'],
    ['!a', '%21a'],
  ])('with the subject %j has one level and no wildcard for it in its rules', async (subject, level) => {
    const { subject: sub, claims } = await identify({ sub: subject, subscribe: ['{sub}', 'u/{sub}/x'] });
    expect([sub, claims!.subscribe]).toEqual([subject, [level, `u/${level}/x`]]);
  });

  test('can be shown as a date however late it ends', async () => {
    for (const exp of [253_402_300_800, 2 ** 53, 1e300]) {
      const { claims } = await identify({ exp });
      expect(() => new Date(claims!.expiresAtMs).toISOString()).not.toThrow();
      expect(claims!.expiresAtMs).toBeGreaterThanOrEqual(Math.min(8.64e15, exp * 1_000));
    }
  });
});

describe('dates', () => {
  test('a token ends at exp to the millisecond, fractions honoured, also when it is remembered', async () => {
    const time = new HandClock();
    const own = verifierOf({ secret: testSecret }, {}, time);
    const one = await token({ exp: nowSeconds + 1.25 });
    time.pass(1_249);
    expect((await own.verify(one)).claims!.expiresAtMs).toBe(clock.wallMs + 1_250);
    time.pass(1);
    await expect(own.verify(one)).rejects.toThrow('expired');
    // The clock was set back: only the token's own dates count.
    time.pass(-1);
    await expect(own.verify(one)).resolves.toMatchObject({ subject: 'alice' });
    time.pass(-3_600_000);
    await expect(own.verify(one)).rejects.toThrow('not valid yet');
  });

  test.each([0, 30])(
    'with a leeway of %d s it ends that much later and begins that much earlier',
    async (leewaySeconds) => {
      const own = verifierOf({ secret: testSecret, leewaySeconds });
      const leeway = leewaySeconds;
      const good = await own.verify(await token({ exp: nowSeconds - leeway + 1 }));
      expect(good.claims!.expiresAtMs).toBe(clock.wallMs + 1_000);
      await expect(own.verify(await token({ exp: nowSeconds - leeway }))).rejects.toThrow('expired');
      await expect(own.verify(await token({ exp: nowSeconds - leeway - 1 }))).rejects.toThrow('expired');
      // As for iat: clocks of synchronised machines differ by less than 5 s.
      const ahead = Math.max(leeway, 5);
      await expect(own.verify(await token({ nbf: nowSeconds + ahead }))).resolves.toBeTruthy();
      await expect(own.verify(await token({ nbf: nowSeconds + ahead + 1 }))).rejects.toThrow('not valid yet');
    },
  );

  test('an issuer whose clock is a little ahead is believed, and its token is not put beyond a revocation', async () => {
    const { claims } = await identify({ iat: nowSeconds + 5 });
    expect(claims!.issuedAtMs).toBe(clock.wallMs);
    await expect(identify({ iat: nowSeconds + 6 })).rejects.toThrow('not valid yet');
    expect((await identify({ raw: { iat: undefined } })).claims!.issuedAtMs).toBeUndefined();
  });
});

describe('whose', () => {
  test('issuer and audience count when they are configured', async () => {
    const strict = verifierOf({ secret: testSecret, issuer: 'https://a.example', audience: 'x' });
    const right = { iss: 'https://a.example', aud: ['y', 'x'] };
    await expect(strict.verify(await token(right))).resolves.toBeTruthy();
    await expect(strict.verify(await token({ ...right, iss: 'https://A.example' }))).rejects.toThrow(
      'issuer of the token is not configured',
    );
    await expect(strict.verify(await token({ aud: 'x' }))).rejects.toThrow(
      'issuer of the token is not configured',
    );
    await expect(strict.verify(await token({ ...right, aud: 'y' }))).rejects.toThrow('another audience');
    await expect(strict.verify(await token({ iss: right.iss }))).rejects.toThrow('has no aud claim');
  });

  test('without them any issuer will do, but a token for another audience will not', async () => {
    await expect(identify({ iss: 'https://a.example' })).resolves.toBeTruthy();
    await expect(identify({ raw: { iss: ['https://a.example'] } })).rejects.toThrow('iss');
    // RFC 7519 §4.1.3
    await expect(identify({ aud: 'x' })).rejects.toThrow('this server has no audience');
  });
});

describe('verified tokens are remembered', () => {
  test('the answer is the same identity', async () => {
    const one = await token();
    const first = await verifier.verify(one);
    expect(await verifier.verify(one)).toBe(first);
    expect(await verifier.verify(await token({ jti: 'another' }))).not.toBe(first);
  });

  test('within a bound, the least recently shown go first', async () => {
    const tokens = await Promise.all(['a', 'b', 'c'].map((jti) => token({ jti })));
    const [a, b, c] = tokens as [string, string, string];
    const own = verifierOf({ secret: testSecret }, { verifiedTokenBytesMax: a.length + b.length });
    const [first, second] = [await own.verify(a), await own.verify(b)];
    expect(await own.verify(a)).toBe(first);
    await own.verify(c);
    expect(await own.verify(a)).toBe(first);
    expect(await own.verify(b)).not.toBe(second);
    const none = verifierOf({ secret: testSecret }, { verifiedTokenBytesMax: 0 });
    expect(await none.verify(a)).not.toBe(await none.verify(a));
  });
});

describe('never', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const pemOf = ({ publicKey }: typeof ed) => publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const kinds = [
    ['HS256', { secret: testSecret }, testSecret],
    ['RS256', { publicKey: pemOf(rsa) }, rsa.privateKey],
    ['ES256', { publicKey: pemOf(ec) }, ec.privateKey],
    ['EdDSA', { publicKey: pemOf(ed) }, ed.privateKey],
  ] as const;

  const isRefused = async (by: TokenVerifier, text: string): Promise<void> => {
    const error: unknown = await by.verify(text).then(
      () => new Error(`taken: ${text}`),
      (caught: unknown) => caught,
    );
    if (!(error instanceof EverywireError) || error.code !== 'unauthorized') throw error;
  };

  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+ \0é';
  const mutation = fc.record({
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    kind: fc.constantFrom('replace', 'insert', 'remove', 'cut', 'double'),
    letter: fc.constantFrom(...alphabet.split('')),
  });

  test.each(kinds)(
    'is a token of %s taken that differs from a good one in anything',
    async (alg, issuer, key) => {
      const own = verifierOf(issuer);
      const good = await mint(key, { iat: nowSeconds, exp: nowSeconds + 60, subscribe: ['a'] }, { alg });
      await expect(own.verify(good)).resolves.toBeTruthy();
      await fc.assert(
        fc.asyncProperty(mutation, async ({ place, kind, letter }) => {
          const at = Math.floor(place * good.length);
          const [before, after] = [good.slice(0, at), good.slice(at)];
          const changed = {
            replace: before + letter + after.slice(1),
            insert: before + letter + after,
            remove: before + after.slice(1),
            cut: before,
            double: `${before}${after}${after}`,
          }[kind];
          if (changed !== good) await isRefused(own, changed);
        }),
        { numRuns: 300 },
      );
    },
  );

  test('is one taken whose parts are of several good ones', async () => {
    const goods = await Promise.all(
      ['a', 'b', 'c'].map((sub) =>
        mint(testSecret, { sub, iat: nowSeconds, exp: nowSeconds + 60 }, { kid: sub }),
      ),
    );
    const parts = goods.map((good) => good.split('.'));
    for (const [h, [header]] of parts.entries())
      for (const [p, [, payload]] of parts.entries())
        for (const [s, [, , signature]] of parts.entries()) {
          const mixed = [header, payload, signature].join('.');
          if (h === p && p === s) await expect(verifier.verify(mixed)).resolves.toBeTruthy();
          else await isRefused(verifier, mixed);
        }
  });

  test('only a refusal answers an invalid token', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), (text) => isRefused(verifier, text)),
      { numRuns: 300 },
    );
    await fc.assert(
      fc.asyncProperty(fc.json(), fc.json(), async (header, payload) => {
        await isRefused(verifier, joinToken(header, payload, hmac(testSecret)));
      }),
      { numRuns: 300 },
    );
  });

  test('is more than a refusal the answer to claims of any kind: an identity has the form that it must have', async () => {
    const rule = fc.oneof(
      fc
        .array(fc.constantFrom('a', 'b', '{sub}', '*', '+', '**', '#', '', '$x', '!'), { maxLength: 5 })
        .map((levels) => levels.join('/')),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.jsonValue(),
    );
    const claims = fc.record(
      {
        sub: fc.oneof(
          fc.constantFrom('alice', 'a/b', '!a', '#', ''),
          fc.string({ unit: 'binary' }),
          fc.jsonValue(),
        ),
        exp: fc.oneof(fc.constant(nowSeconds + 60), fc.double(), fc.jsonValue()),
        jti: fc.oneof(fc.string(), fc.jsonValue()),
        everywire: fc.record(
          {
            subscribe: fc.oneof(fc.array(rule), fc.jsonValue()),
            publish: fc.array(rule),
            admin: fc.oneof(fc.boolean(), fc.jsonValue()),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: ['sub', 'exp'] },
    );
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(claims, async (payload) => {
        const text = joinToken('{"alg":"HS256"}', JSON.stringify(payload), hmac(testSecret));
        const identity = await verifier.verify(text).catch((error: unknown) => {
          if (error instanceof EverywireError && error.code === 'unauthorized') return undefined;
          throw error;
        });
        if (identity === undefined) return;
        taken += 1;
        expect(identity.subject).toBe(payload.sub);
        expect(identity.subject).not.toMatch(/^$|[\u0000-\u001f]/);
        const { subscribe, publish, expiresAtMs } = identity.claims!;
        expect(expiresAtMs).toBeGreaterThan(clock.wallMs);
        for (const filter of [...subscribe, ...publish]) expect(filter).toMatch(/^!?[^$]/);
      }),
      { numRuns: 500 },
    );
    // Otherwise it would have shown nothing.
    expect(taken).toBeGreaterThan(5);
  });
});

test('nothing of all that was logged', () => {
  expect(log.lines).toEqual([]);
});
