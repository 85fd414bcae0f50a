import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  endEverything,
  runEverywire,
  serveEverywire,
  type Ended,
  type ServedEverywire,
} from '../support/everywire.ts';
import { mint, testSecret } from '../support/tokens.ts';

afterAll(endEverything);

const secret = { EVERYWIRE_JWT_SECRET: testSecret };

async function sign(
  args: readonly string[],
  env: Readonly<Record<string, string>> = secret,
): Promise<string> {
  const { code, stdout, stderr } = await runEverywire(['token', ...args], { env }).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim();
}

describe('everywire token', () => {
  test('signs the given claims, for an hour', async () => {
    const args = ['--sub', 'ann', '--subscribe', 'a/**', '--subscribe', '!a/b', '--publish', 'own/{sub}'];
    const token = await sign([
      ...args,
      '--jti',
      'one',
      '--claims',
      '{"name":"Ann","everywire":{"admin":true}}',
    ]);
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      sub: 'ann',
      jti: 'one',
      name: 'Ann',
      everywire: { subscribe: ['a/**', '!a/b'], publish: ['own/{sub}'], admin: true },
    });
    expect(claims.exp! - claims.iat!).toBe(3_600);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256', typ: 'JWT' });
  });

  test.each([
    ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2_048 })],
    ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['EdDSA', () => generateKeyPairSync('ed25519')],
  ])('signs by the file of a private key: %s', async (alg, makePair) => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-key-'));
    try {
      const { privateKey, publicKey } = makePair();
      const path = join(folder, 'key.pem');
      writeFileSync(path, privateKey.export({ format: 'pem', type: 'pkcs8' }));
      const server = {
        EVERYWIRE_AUTH__JWT__PUBLIC_KEY: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
        EVERYWIRE_AUTH__JWT__ISSUER: 'https://issuer.example',
        EVERYWIRE_AUTH__JWT__AUDIENCE: 'everywire',
      };
      const token = await sign(['--sub', 'ann', '--admin', '--key', path, '--kid', 'k1'], server);
      expect(decodeProtectedHeader(token)).toEqual({ alg, typ: 'JWT', kid: 'k1' });
      expect(decodeJwt(token)).toMatchObject({ iss: 'https://issuer.example', aud: 'everywire' });
      const told = await runEverywire(['explain', '-', 'admin'], { env: server, input: `${token}\n` }).ended;
      expect(told).toMatchObject({ code: 0, stderr: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([
    [[], 'The token has no sub claim'],
    [['--sub', 'a\nb'], 'no control characters'],
    [['--sub', 'ann', '--subscribe', 'a/**/b'], 'only allowed at the end'],
    [['--sub', 'ann', '--expires', 'soon'], '--expires is a length of time'],
    [['--sub', 'ann', '--claims', '[]'], '--claims is a JSON object'],
    [['--sub', 'ann', '--claims', '{"a":1,"a":2}'], '--claims is a JSON object'],
    [['--sub', 'ann', '--claims', '{"everywire":{"subcribe":[]}}'], 'members other than'],
    [['--sub', 'ann', '--key', '/nowhere'], 'ENOENT'],
  ])('%j is nothing to sign', async (args, words) => {
    const ended = await runEverywire(['token', ...args], { env: secret }).ended;
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(words) });
  });

  test('has nothing to sign with unless it is given', async () => {
    const ended = await runEverywire(['token', '--sub', 'ann']).ended;
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing to sign with') });
  });
});

describe('everywire explain', () => {
  let token: string;
  beforeAll(async () => {
    token = await mint(testSecret, {
      sub: 'ann',
      subscribe: ['chat/**', '!chat/secret'],
      publish: ['own/{sub}'],
      jti: 'one',
    });
  });

  test.each([
    [['subscribe', 'chat/a'], 0, ['the rule chat/** allows it', 'subject ann', 'jti one']],
    [['subscribe', 'chat/*'], 0, ['nothing that !chat/secret matches']],
    [['subscribe', '$share/g/chat/a'], 0, ['the rule chat/** allows it']],
    [['subscribe', 'chat/secret'], 1, ['the rule !chat/secret denies it']],
    [['subscribe', '**'], 1, ['no rule allows it', 'chat/** allows a part of it']],
    [['publish', 'own/ann'], 0, ['the rule own/ann allows it']],
    [['publish', 'own/bob'], 1, ['no rule allows it']],
    [['admin'], 1, ['does not say admin: true']],
  ])('%j is exit code %i, and says why', async (question, code, words) => {
    const ended = await runEverywire(['explain', '-', ...question], { env: secret, input: token }).ended;
    expect(ended).toMatchObject({ code, stderr: '' });
    for (const word of words) expect(ended.stdout).toContain(word);
    showsNothing(ended, token);
  });

  test('says why a token is refused', async () => {
    const expired = await mint(testSecret, { exp: 1_000_000_000 });
    const tokens = [expired, await mint('another secret that is long enough to sign'), 'nonsense'];
    for (const [at, words] of ['expired', 'signature', 'three base64url parts'].entries()) {
      const env = { ...secret, EVERYWIRE_TOKEN: tokens[at]! };
      const ended = await runEverywire(['explain', 'subscribe', 'a'], { env }).ended;
      expect(ended).toMatchObject({ code: 1, stdout: expect.stringContaining(words) });
      if (at < 2) showsNothing(ended, tokens[at]!);
    }
  });

  test('nonsense is no token, also while authentication is off', async () => {
    for (const nonsense of ['nonsense', 'a.b.c', '....']) {
      const ended = await runEverywire(['explain', nonsense, 'subscribe', 'a']).ended;
      expect(ended).toMatchObject({ code: 1, stdout: expect.stringContaining('no: that is not a token') });
    }
    const real = await runEverywire(['explain', '-', 'subscribe', 'a'], { input: token }).ended;
    expect(real).toMatchObject({ code: 0, stdout: expect.stringContaining('authentication is off') });
  });

  test.each([
    [['explain', '-', 'read', 'a'], 'It is: everywire explain'],
    [['explain', '-', 'subscribe'], 'It is: everywire explain'],
    [['explain', '-', 'publish', 'a/*'], 'A channel name must not contain'],
    [['explain', 'subscribe', 'a'], 'There is no token'],
    [['explain', 'a b', 'subscribe', 'a'], 'characters that no token has'],
  ])('%j is exit code 2', async (args, words) => {
    const ended = await runEverywire(args, { env: secret, input: token }).ended;
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(words) });
  });
});

/** Not even a part of it. */
function showsNothing({ stdout, stderr }: Pick<Ended, 'stdout' | 'stderr'>, token: string): void {
  for (const part of token.split('.')) {
    for (let at = 0; at + 12 <= part.length; at += 6)
      expect(stdout + stderr).not.toContain(part.slice(at, at + 12));
  }
}

describe('a server with a secret', () => {
  let server: ServedEverywire;
  beforeAll(async () => {
    server = await serveEverywire(['--jwt-secret', testSecret]);
  });
  afterAll(() => server.dispose());

  const schemes = [
    'http',
    'longpoll+http',
    'stream+http',
    'sse+http',
    'ws',
    'sio+http',
    'stomp',
    'stomp+ws',
    'mqtt',
    'mqtt+ws',
    'grpc',
  ];

  test.each(schemes)(
    '%s: a client with a token may publish and read, and one without is refused',
    async (scheme) => {
      const channel = `in/${scheme.replace('+', '-')}`;
      const env = { EVERYWIRE_TOKEN: await mint(testSecret, { subscribe: ['in/*'], publish: ['in/*'] }) };
      const url = server.at(scheme, channel);
      const published = await runEverywire(['publish', url, 'hello'], { env }).ended;
      expect(published).toMatchObject({ code: 0, stderr: '' });
      const args = ['subscribe', url, '--since', 'earliest', '--count', '1', '--timeout', '20s'];
      const read = await runEverywire(args, { env }).ended;
      expect(read).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('"data":"hello"') });
      const anonymous = await runEverywire(args).ended;
      expect(anonymous).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/unauthorized|0x8[67]/),
      });
    },
  );

  test.each(['http', 'ws', 'mqtt'])(
    '%s: a token that is not enough is refused and not shown',
    async (scheme) => {
      for (const [token, words] of [
        [await mint('another secret that is long enough to sign'), /unauthorized|0x8[67]/],
        [await mint(testSecret, { subscribe: ['out'] }), /forbidden|0x87/],
      ] as const) {
        const env = { EVERYWIRE_TOKEN: token };
        const refused = await runEverywire(['subscribe', server.at(scheme, 'in/a')], { env }).ended;
        expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(words) });
        showsNothing(refused, token);
      }
    },
  );

  test('has it in no process list, nor has a command with a token', async () => {
    const argumentsOf = (pid: number | undefined): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    expect(argumentsOf(server.child.pid)).toContain('everywire serve');
    expect(argumentsOf(server.child.pid)).not.toContain(testSecret.slice(0, 8));
    const token = await mint(testSecret, { subscribe: ['in/*'] });
    const reader = runEverywire([
      'subscribe',
      server.at('ws', 'in/ps'),
      '--since',
      'earliest',
      '--token',
      token,
    ]);
    const publisher = { EVERYWIRE_TOKEN: await mint(testSecret, { publish: ['in/*'] }) };
    await runEverywire(['publish', server.at('ws', 'in/ps'), 'x'], { env: publisher }).ended;
    await reader.until('stdout', (text) => text.includes('"data":"x"'));
    expect(argumentsOf(reader.child.pid)).not.toContain(token.slice(0, 8));
    reader.child.kill('SIGKILL');
    await reader.ended;
  });
});
