import { generateKeyPairSync, randomUUID, type JsonWebKey, type KeyPairKeyObjectResult } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { mint } from '../../../../../test/support/tokens.ts';
import { createVerifier, type Issuer, type TokenVerifier } from '../../../src/auth/tokens/verifier.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import { HandClock } from '../hand-clock.ts';
import { answerJson, startIssuerServer, type IssuerServer } from '../issuer-server.ts';
import { memoryLog, type MemoryLog } from './memory-log.ts';

const ed = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

type Pair = KeyPairKeyObjectResult;
type Jwk = JsonWebKey & { readonly kid?: string; readonly [name: string]: unknown };

const jwk = ({ publicKey }: Pair, kid?: string, more: object = {}): Jwk => ({
  ...publicKey.export({ format: 'jwk' }),
  ...(kid === undefined ? {} : { kid }),
  ...more,
});

let clock: HandClock;
let server: IssuerServer;
let log: MemoryLog;
const verifiers: TokenVerifier[] = [];

beforeEach(async () => {
  clock = new HandClock();
  log = memoryLog();
  server = await startIssuerServer(answerJson({ keys: [jwk(ed, 'ed')] }));
});
afterEach(async () => {
  for (const verifier of verifiers.splice(0)) verifier.stop();
  await server.stop();
});

/** Longer than any test, so that only those about time-outs see one. */
function verifierOf(issuers: readonly Issuer[], limits: Partial<AllLimits> = {}): TokenVerifier {
  const verifier = createVerifier({ issuers, clock, log, limits: { ...defaultLimits, ...limits } });
  verifiers.push(verifier);
  return verifier;
}

const token = ({ privateKey }: Pair, kid?: string, alg = 'EdDSA', iss?: string): Promise<string> =>
  mint(
    privateKey,
    { iat: 1, exp: 2_000_000_000, ...(iss === undefined ? {} : { iss }) },
    { alg, ...(kid === undefined ? {} : { kid }) },
  );

const taken = { subject: 'alice' };
const refusal = 'alg or kid matches no key';
const unavailable: unknown = expect.objectContaining({ code: 'store_unavailable', httpStatus: 503 });
const warnings = () => log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields);

test('keys are fetched when the first token comes, once for all that wait', async () => {
  const verifier = verifierOf([{ jwks: server.url }]);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => token(ed, 'ed')));
  for (const identity of await Promise.all(tokens.map((one) => verifier.verify(one))))
    expect(identity).toMatchObject(taken);
  expect(server.requests).toBe(1);
});

test('or before, when it starts; and a URL that does not work is in the log without its query', async () => {
  server.answer = (response) => response.writeHead(404).end('hunter2');
  verifierOf([{ jwks: `${server.url}?key=hunter2` }]).start();
  await vi.waitFor(() => expect(warnings()).toHaveLength(1));
  expect(warnings()).toEqual([{ url: server.url, reason: 'it answered 404', keys: 0 }]);
});

test('the same name of a key at two issuers is two keys', async () => {
  const second = await startIssuerServer(answerJson({ keys: [jwk(other, 'k')] }));
  server.answer = answerJson({ keys: [jwk(ed, 'k')] });
  const verifier = verifierOf([
    { issuer: 'https://a.example', jwks: server.url },
    { issuer: 'https://b.example', jwks: second.url },
  ]);
  try {
    await expect(verifier.verify(await token(ed, 'k', 'EdDSA', 'https://a.example'))).resolves.toBeTruthy();
    await expect(
      verifier.verify(await token(other, 'k', 'EdDSA', 'https://b.example')),
    ).resolves.toBeTruthy();
    for (const [pair, iss] of [
      [ed, 'https://b.example'],
      [other, 'https://a.example'],
    ] as const)
      await expect(verifier.verify(await token(pair, 'k', 'EdDSA', iss))).rejects.toThrow('signature');
  } finally {
    await second.stop();
  }
});

describe('a key that is not there', () => {
  test('1,000 tokens with names of no key fetch nothing in 30 s, and then once', async () => {
    const verifier = verifierOf([{ jwks: server.url }]);
    await verifier.verify(await token(ed, 'ed'));
    const storm = async (count: number): Promise<void> => {
      const tokens = await Promise.all(Array.from({ length: count }, () => token(other, randomUUID())));
      const results = await Promise.allSettled(tokens.map((one) => verifier.verify(one)));
      expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    };
    clock.pass(29_999);
    await storm(1_000);
    expect(server.requests).toBe(1);
    clock.pass(1);
    await storm(100);
    expect(server.requests).toBe(2);
    expect(await verifier.verify(await token(ed, 'ed'))).toMatchObject(taken);
  });

  test('is fetched when the issuer has changed to it, and the one that went is worth nothing', async () => {
    const verifier = verifierOf([{ jwks: server.url }]);
    const old = await token(ed, 'ed');
    await verifier.verify(old);
    server.answer = answerJson({ keys: [jwk(other, 'new')] });
    clock.pass(30_000);
    expect(await verifier.verify(old)).toMatchObject(taken);
    expect(await verifier.verify(await token(other, 'new'))).toMatchObject(taken);
    await expect(verifier.verify(old)).rejects.toThrow(refusal);
  });

  test('tokens verified by an unchanged key stay remembered after a fetch', async () => {
    const verifier = verifierOf([{ jwks: server.url }]);
    const one = await token(ed, 'ed');
    const identity = await verifier.verify(one);
    clock.pass(30_000);
    await expect(verifier.verify(await token(other, 'x'))).rejects.toThrow(refusal);
    expect(server.requests).toBe(2);
    expect(await verifier.verify(one)).toBe(identity);
  });
});

test('old keys are refreshed while they are used: no caller waits', async () => {
  const verifier = verifierOf([{ jwks: server.url }]);
  const one = await token(ed, 'ed');
  await verifier.verify(one);
  let answer: (() => void) | undefined;
  server.answer = (response) => {
    answer = () => answerJson({ keys: [jwk(other, 'ed')] })(response);
  };
  clock.pass(defaultLimits.keySetRefreshMs - 1);
  await verifier.verify(one);
  expect(server.requests).toBe(1);
  clock.pass(1);
  // Both by memory and by the key itself.
  expect(await verifier.verify(one)).toMatchObject(taken);
  expect(await verifier.verify(await token(ed, 'ed'))).toMatchObject(taken);
  await vi.waitFor(() => expect(answer).toBeDefined());
  expect(server.requests).toBe(2);
  answer!();
  await vi.waitFor(async () => expect(verifier.verify(one)).rejects.toThrow());
});

describe('the last good keys are kept when the issuer answers', () => {
  const huge = 'x'.repeat(defaultLimits.keySetBytesMax);
  const answers: readonly (readonly [string, string, (url: string) => IssuerServer['answer']])[] = [
    ['500', 'it answered 500', () => (response) => response.writeHead(500).end('{"keys":[]}')],
    ['204', 'it answered 204', () => (response) => response.writeHead(204).end()],
    ['HTML', 'not JSON', () => (response) => response.end('<html><body>Sorry</body></html>')],
    ['nothing', 'not JSON', () => (response) => response.end()],
    ['no key', 'no key that can be used', () => answerJson({ keys: [] })],
    ['other JSON', 'not a key set', () => answerJson({ error: 'maintenance' })],
    ['a list', 'not a key set', () => answerJson([])],
    [
      'a key twice, in JSON that two readers understand differently',
      'not JSON',
      () => (response) => response.end('{"keys":[],"keys":[]}'),
    ],
    [
      'only a private key',
      'no key that can be used',
      () => answerJson({ keys: [{ ...other.privateKey.export({ format: 'jwk' }), kid: 'ed' }] }),
    ],
    [
      'only a shared key',
      'no key that can be used',
      () => answerJson({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'ed', alg: 'HS256' }] }),
    ],
    ['101 keys', 'more than 100 keys', () => answerJson({ keys: Array(101).fill(jwk(other, 'ed')) })],
    [
      'a redirect',
      'it answered 302',
      (url) => (response) => response.writeHead(302, { location: url }).end(),
    ],
    ['too much, announced', 'more than 262144 bytes', () => answerJson({ keys: [jwk(other, 'ed')], huge })],
    [
      'too much, without an end',
      'more than 262144 bytes',
      () => (response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(huge));
        };
        response.on('drain', more);
        more();
      },
    ],
    ['nothing for too long', 'in time', () => () => undefined],
    ['a beginning and no end', 'in time', () => (response) => response.write('{"keys":')],
    ['by hanging up', 'cannot be reached', () => (response) => response.destroy()],
    [
      'by hanging up in the middle',
      'cannot be reached',
      () => (response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
      },
    ],
  ];
  test.each(answers)('%s', async (_, reason, answer) => {
    const trap = await startIssuerServer();
    const verifier = verifierOf([{ jwks: server.url }], { keySetTimeoutMs: 300 });
    try {
      await verifier.verify(await token(ed, 'ed'));
      server.answer = answer(trap.url);
      clock.pass(30_000);
      await expect(verifier.verify(await token(other, 'unknown'))).rejects.toEqual(unavailable);
      expect(warnings()).toEqual([
        { url: server.url, reason: expect.stringContaining(reason) as string, keys: 1 },
      ]);
      expect(await verifier.verify(await token(ed, 'ed'))).toMatchObject(taken);
      expect({ trapped: trap.connections, asked: server.requests }).toEqual({ trapped: 0, asked: 2 });
    } finally {
      await trap.stop();
    }
  });
});

test('without any key it is tried again sooner: after 1 s, 2 s, 4 s and so on, up to 30 s', async () => {
  server.answer = (response) => response.writeHead(503).end();
  const verifier = verifierOf([{ jwks: server.url }]);
  const one = await token(ed, 'ed');
  await expect(verifier.verify(one)).rejects.toEqual(unavailable);
  for (const [at, waitMs] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    clock.pass(waitMs - 1);
    await expect(verifier.verify(one)).rejects.toEqual(unavailable);
    expect(server.requests).toBe(at + 1);
    clock.pass(1);
    await expect(verifier.verify(one)).rejects.toEqual(unavailable);
    expect(server.requests).toBe(at + 2);
  }
  server.answer = answerJson({ keys: [jwk(ed, 'ed')] });
  clock.pass(30_000);
  expect(await verifier.verify(one)).toMatchObject(taken);
});

describe('which key of a set', () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 });

  test('is the one that the token names, if it is for signatures and for its alg', async () => {
    server.answer = answerJson({
      keys: [
        null,
        'key',
        { kty: 'EC' },
        jwk(rsa, 'r', {
          use: 'sig',
          alg: 'RS256',
          key_ops: ['verify'],
          x5c: ['AAAA'],
          x5u: 'https://x.example',
        }),
        jwk(ec, 'e'),
        jwk(ed, 'd', { alg: 'EdDSA' }),
        jwk(rsa, 'encrypts', { use: 'enc' }),
        jwk(rsa, 'wraps', { key_ops: ['wrapKey'] }),
        jwk(rsa, 'pss', { alg: 'PS256' }),
        jwk(p384, 'p384'),
        jwk(weak, 'weak'),
        { ...rsa.privateKey.export({ format: 'jwk' }), kid: 'private' },
        { ...jwk(ed, 'x'), x: 'AAAA' },
        jwk(ed, '../d'),
        { kty: 'oct', k: Buffer.alloc(32, 1).toString('base64url'), kid: 'shared', alg: 'HS256' },
      ],
    });
    const verifier = verifierOf([{ jwks: server.url }]);
    for (const [pair, kid, alg] of [
      [rsa, 'r', 'RS256'],
      [ec, 'e', 'ES256'],
      [ed, 'd', 'EdDSA'],
    ] as const)
      expect(await verifier.verify(await token(pair, kid, alg))).toMatchObject(taken);
    for (const [pair, kid, alg] of [
      [rsa, 'encrypts', 'RS256'],
      [rsa, 'wraps', 'RS256'],
      [rsa, 'pss', 'PS256'],
      [rsa, 'pss', 'RS256'],
      [p384, 'p384', 'ES384'],
      [rsa, 'private', 'RS256'],
      [ed, 'x', 'EdDSA'],
      [rsa, 'e', 'RS256'],
      [rsa, 'r', 'PS256'],
    ] as const)
      await expect(verifier.verify(await token(pair, kid, alg))).rejects.toThrow(refusal);
    const shared = await mint(Buffer.alloc(32, 1), { iat: 1, exp: 2_000_000_000 }, { kid: 'shared' });
    await expect(verifier.verify(shared)).rejects.toThrow(refusal);
  });

  test('without a name it is any of the few for the alg', async () => {
    server.answer = answerJson({ keys: [jwk(ed, 'a'), jwk(other, 'b'), jwk(ec)] });
    const verifier = verifierOf([{ jwks: server.url }]);
    expect(await verifier.verify(await token(ec, undefined, 'ES256'))).toMatchObject(taken);
    for (const pair of [ed, other]) expect(await verifier.verify(await token(pair))).toMatchObject(taken);
    // A name that several keys have decides no more than none.
    server.answer = answerJson({ keys: [jwk(ed, 'same'), jwk(other, 'same')] });
    const twins = verifierOf([{ jwks: server.url }]);
    for (const pair of [ed, other])
      expect(await twins.verify(await token(pair, 'same'))).toMatchObject(taken);
    const stranger = generateKeyPairSync('ed25519');
    await expect(twins.verify(await token(stranger, 'same'))).rejects.toThrow('signature');
  });

  test('without a name it is tried among eight, and no more', async () => {
    const keys = Array.from({ length: 9 }, () => generateKeyPairSync('ed25519'));
    server.answer = answerJson({ keys: keys.map((pair) => jwk(pair)) });
    const verifier = verifierOf([{ jwks: server.url }]);
    expect(await verifier.verify(await token(keys[7]!))).toMatchObject(taken);
    await expect(verifier.verify(await token(keys[8]!))).rejects.toThrow('signature');
  });

  test('is of the algorithm that is configured', async () => {
    server.answer = answerJson({ keys: [jwk(ed, 'd'), jwk(ec, 'e')] });
    const verifier = verifierOf([{ jwks: server.url, algorithm: 'ES256' }]);
    expect(await verifier.verify(await token(ec, 'e', 'ES256'))).toMatchObject(taken);
    await expect(verifier.verify(await token(ed, 'd'))).rejects.toThrow(refusal);
  });
});

test('stopping ends a fetch that is under way, and there is no other', async () => {
  server.answer = () => undefined;
  const verifier = verifierOf([{ jwks: server.url }]);
  const waiting = verifier.verify(await token(ed, 'ed'));
  await vi.waitFor(() => expect(server.requests).toBe(1));
  verifier.stop();
  await expect(waiting).rejects.toThrow(refusal);
  clock.pass(3_600_000);
  await expect(verifier.verify(await token(ed, 'ed'))).rejects.toThrow(refusal);
  await delay(0);
  expect({ requests: server.requests, warnings: warnings() }).toEqual({ requests: 1, warnings: [] });
});
