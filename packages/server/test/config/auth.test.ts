import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testSecret } from '../../../../test/support/tokens.ts';
import { issuersOf } from '../../src/config/auth.ts';
import { completeConfig, loadConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { ConfigError } from '../../src/config/settings.ts';
import { showConfig, showConfigJson } from '../../src/config/show.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const rsaPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const rsaDer = rsa.publicKey.export({ type: 'spki', format: 'der' });
const ecPem = ec.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const edJwk = JSON.stringify(ed.publicKey.export({ format: 'jwk' }));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-auth-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function problemsOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const problemsOfAuth = (auth: NonNullable<ConfigInput['auth']>): readonly string[] =>
  problemsOf(() => completeConfig({ auth }));

test('without a key, authentication is off', () => {
  expect(issuersOf(completeConfig({}).config)).toEqual([]);
});

test.each([
  ['secret', testSecret],
  ['publicKey', rsaPem],
  ['publicKey', ecPem],
  ['publicKey', ecPem.replaceAll('\n', '\\n')],
  ['publicKey', edJwk],
  ['jwks', 'https://keys.example/set?tenant=1'],
  ['jwks', 'http://127.0.0.1:9/set'],
  ['jwks', 'http://[::1]:9/set'],
  ['jwks', 'http://localhost:9/set'],
] as const)('%s %#: one key is an issuer, and a public address is allowed then', (name, value) => {
  const { config } = completeConfig({ http: { host: '0.0.0.0' }, auth: { jwt: { [name]: value } } });
  expect(issuersOf(config)).toEqual([{ [name]: value, leewaySeconds: 0 }]);
});

describe('a secret', () => {
  test('of 32 bytes is enough, of 31 is not', () => {
    expect(problemsOfAuth({ jwt: { secret: 'ü'.repeat(16) } })).toEqual([]);
    expect(problemsOfAuth({ jwt: { secret: 'x'.repeat(31) } })).toEqual([
      'auth.jwt.secret: the secret has 31 bytes, and HS256 needs at least 32.',
    ]);
  });

  const published: readonly (readonly [string, string])[] = [
    ['PEM', rsaPem],
    ['PEM behind a space', ` ${rsaPem}`],
    ['PEM behind a line break', `\n${rsaPem}`],
    ['PEM behind a byte order mark', `\uFEFF${rsaPem}`],
    ['a private key in PEM', ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['a JWK', edJwk],
    ['a JWK behind white space', `\r\n ${edJwk}`],
    ['a key set', JSON.stringify({ keys: [JSON.parse(edJwk)] })],
    ['DER, byte by byte', rsaDer.toString('latin1')],
    ['DER in base64', rsaDer.toString('base64')],
    ['DER in base64 with line breaks', rsaDer.toString('base64').replace(/.{64}/g, '$&\n')],
    ['DER in base64url', rsaDer.toString('base64url')],
    ['DER in hexadecimal', rsaDer.toString('hex')],
    ['a bare RSA key in DER', rsa.publicKey.export({ type: 'pkcs1', format: 'der' }).toString('base64')],
    ['a private key in DER', ed.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')],
  ];
  test.each(published)('that is %s is refused', (_, secret) => {
    const [problem] = problemsOfAuth({ jwt: { secret } });
    expect(problem).toMatch(/in PEM, DER or JWK form|needs at least 32/);
  });

  test('that only begins as DER does is one', () => {
    expect(problemsOfAuth({ jwt: { secret: '0'.repeat(64) } })).toEqual([]);
    expect(problemsOfAuth({ jwt: { secret: 'MIIB'.repeat(16) } })).toEqual([]);
  });
});

describe('refused, without a byte of the key', () => {
  const hidden = 'hunter2hunter2';
  const key = 'publicKey';
  test.each([
    [{ jwt: { secret: hidden } }, /^auth\.jwt\.secret: .*at least 32\.$/],
    [{ jwt: { [key]: hidden } }, /^auth\.jwt\.publicKey: that is neither PEM nor a JWK\.$/],
    [{ jwt: { [key]: '-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----' } }, /cannot be read/],
    [{ jwt: { [key]: '{"kty":"oct","k":"aHVudGVyMg"}' } }, /symmetric/],
    [{ jwt: { [key]: JSON.stringify(ed.privateKey.export({ format: 'jwk' })) } }, /private key/],
    [{ jwt: { [key]: rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() } }, /private key/],
    [{ jwt: { [key]: '{"kty":"RSA","n":"aHVudGVyMg","e":"AQAB"}' } }, /RSA key has 2048 to 8192 bits/],
    [{ jwt: { [key]: generatePem('secp256k1') } }, /P-256/],
    [{ jwt: { [key]: edJwk, algorithm: 'ES256' } }, /does not fit its publicKey, which is for EdDSA/],
    [{ jwt: { secret: testSecret, algorithm: 'RS256' } }, /does not fit its secret, which is for HS256/],
    [{ jwt: { jwks: 'https://a.example', algorithm: 'HS256' } }, /HS256 is for a secret/],
    [{ jwt: { jwks: 'http://keys.example/hunter2' } }, /^auth\.jwt\.jwks is not by https\.$/],
    [{ jwt: { jwks: 'https://me:hunter2@keys.example' } }, /password in it/],
    [{ jwt: { jwks: 'hunter2' } }, /is no URL/],
    [{ jwt: { jwks: 'file:///hunter2' } }, /not by https/],
    [{ jwt: { secret: testSecret, jwks: 'https://keys.example' } }, /more than one/],
    [{ jwt: { issuer: 'https://a.example' } }, /^auth\.jwt\.issuer needs a key/],
    [{ issuers: [{ issuer: 'a' }] }, /^auth\.issuers\[0\] needs a key/],
    [{ issuers: [{ issuer: 'a', secret: hidden }] }, /^auth\.issuers\[0\]\.secret: /],
    [
      {
        issuers: [
          { issuer: 'a', secret: testSecret },
          { issuer: 'a', jwks: 'https://a.example' },
        ],
      },
      /^auth\.issuers\[1\]\.issuer is already used by an earlier issuer/,
    ],
    [{ jwt: { secret: testSecret }, issuers: [{ issuer: 'a', secret: testSecret }] }, /both have keys/],
    [{ issuers: [{ secret: hidden }] as never }, /auth\.issuers\.0 must have required properties issuer/],
    [{ issuers: [{ issuer: 'a', sekret: hidden }] as never }, /auth\.issuers\.0\.sekret is not a key/],
    [{ jwt: { algorithm: 'none' as never } }, /algorithm is "HS256"/],
    [{ jwt: { leewaySeconds: 61 } }, /leewaySeconds is a whole number from 0 to 60/],
  ] satisfies readonly (readonly [NonNullable<ConfigInput['auth']>, RegExp])[])('%#', (auth, words) => {
    const [problem, ...others] = problemsOfAuth(auth);
    expect(problem).toMatch(words);
    expect([problem, ...others].join('\n')).not.toMatch(/hunter2|aHVudGVyMg/);
  });
});

test('keys come from files that the environment names, and issuers as JSON', () => {
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const read = (env: Readonly<Record<string, string>>) =>
    issuersOf(loadConfig({ folder, env, flags: [] }).config);
  const secret = write('secret', `${testSecret}\n`);
  const issuers = [{ issuer: 'a', secret: testSecret, audience: 'b' }];
  expect(read({ EVERYWIRE_JWT_SECRET_FILE: secret })).toEqual([{ secret: testSecret, leewaySeconds: 0 }]);
  expect(read({ EVERYWIRE_AUTH__JWT__SECRET_FILE: secret })[0]).toMatchObject({ secret: testSecret });
  expect(read({ EVERYWIRE_AUTH__JWT__PUBLIC_KEY_FILE: write('key', rsaPem) })[0]).toMatchObject({
    publicKey: rsaPem.trimEnd(),
  });
  expect(read({ EVERYWIRE_AUTH__ISSUERS: JSON.stringify(issuers) })).toEqual(issuers);
  expect(read({ EVERYWIRE_AUTH__ISSUERS_FILE: write('issuers', JSON.stringify(issuers)) })).toEqual(issuers);
});

test('a list of issuers that is wrong is not repeated', () => {
  for (const text of ['[{"issuer":"a","secret":"hunter2"', 'hunter2', '[{"secret":"hunter2"}]']) {
    const problems = problemsOf(() =>
      loadConfig({ folder, env: { EVERYWIRE_AUTH__ISSUERS: text }, flags: [] }),
    );
    expect(problems[0]).toContain('environment EVERYWIRE_AUTH__ISSUERS: auth.issuers');
    expect(problems.join('\n')).not.toContain('hunter2');
  }
});

test('config show has every key but the secrets', () => {
  const issuers = [
    { issuer: 'https://a.example', secret: testSecret },
    { issuer: 'https://b.example', jwks: 'https://b.example/keys' },
  ];
  const { settings } = completeConfig({ auth: { issuers } });
  for (const shown of [showConfig(settings), showConfigJson(settings)]) {
    expect(shown).not.toContain(testSecret);
    expect(shown).toContain('********');
    expect(shown).toContain('https://b.example/keys');
  }
});

function generatePem(namedCurve: string): string {
  return generateKeyPairSync('ec', { namedCurve })
    .publicKey.export({ type: 'spki', format: 'pem' })
    .toString();
}
