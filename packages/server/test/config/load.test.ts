import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  completeConfig,
  givenConfig,
  isDefault,
  loadConfig,
  type Flag,
  type LoadedConfig,
} from '../../src/config/load.ts';
import { namespacesOf } from '../../src/config/namespaces.ts';
import { configJsonSchema, listLeaves, type ConfigInput } from '../../src/config/schema.ts';
import { ConfigError, describeSchema } from '../../src/config/settings.ts';
import { webhooksOf } from '../../src/config/webhooks.ts';
import { defaultLimits } from '../../src/config/limits.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Given {
  readonly file?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly Flag[];
}

function load({ file, env = {}, flags = [] }: Given): LoadedConfig {
  if (file !== undefined) writeFileSync(join(folder, 'everywire.yaml'), file);
  return loadConfig({ folder, env, flags });
}

function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

function sourceOf(loaded: LoadedConfig, path: string): string | undefined {
  return loaded.settings.find((setting) => setting.path.join('.') === path)?.source;
}

const portFlag: Flag = { flag: '--port', path: ['http', 'port'], text: '4' };

describe('precedence', () => {
  test('defaults are those of the interface', () => {
    const { config } = load({});
    expect(config.http).toEqual({ host: '127.0.0.1', port: 8080, trustedProxies: [], keepAlive: 65 });
    expect(config.store).toBe('lmdb:./data');
    expect(config.durability).toBe('fsync');
    expect(config.workers).toBe(1);
    expect(config.retention).toEqual({ count: 10_000, age: '7d', bytes: '1GiB' });
    expect(config.limits).toEqual(defaultLimits);
    expect([config.mqtt, config.stomp, config.grpc]).toEqual([
      { port: 1883, tlsPort: 8883 },
      { port: 61_613, tlsPort: 61_614 },
      { port: 50_051 },
    ]);
  });

  test('flags over environment over file over defaults', () => {
    const file = 'http: { port: 2 }\n';
    const env = { EVERYWIRE_PORT: '3' };
    expect(load({}).config.http.port).toBe(8080);
    expect(load({ file }).config.http.port).toBe(2);
    expect(load({ env }).config.http.port).toBe(3);
    const loaded = load({ env, flags: [portFlag] });
    expect(loaded.config.http.port).toBe(4);
    expect(sourceOf(loaded, 'http.port')).toBe('flag --port');
  });

  test('the longer name of a variable wins, PORT comes last', () => {
    expect(load({ env: { PORT: '1' } }).config.http.port).toBe(1);
    expect(load({ env: { PORT: '1', EVERYWIRE_PORT: '2' } }).config.http.port).toBe(2);
    const all = { EVERYWIRE_HTTP__PORT: '3', PORT: '1', EVERYWIRE_PORT: '2' };
    const loaded = load({ env: all });
    expect(loaded.config.http.port).toBe(3);
    expect(sourceOf(loaded, 'http.port')).toBe('environment EVERYWIRE_HTTP__PORT');
  });

  test('a value of the file tells its line', () => {
    const loaded = load({ file: '# ours\nhttp:\n  port: 9000\nlimits:\n  waitMsMax: 5\n' });
    expect(sourceOf(loaded, 'http.port')).toMatch(/everywire\.yaml:3$/);
    expect(sourceOf(loaded, 'limits.waitMsMax')).toMatch(/everywire\.yaml:5$/);
    expect(sourceOf(loaded, 'http.host')).toBe('default');
  });

  test('empty variables and empty sections count as unset', () => {
    const { config } = load({ file: 'http:\nlimits:\n', env: { EVERYWIRE_PORT: '', PORT: '' } });
    expect(config.http.port).toBe(8080);
  });

  test('the first load does not change the defaults', () => {
    load({}).config.allowedOrigins.push('https://a.example');
    expect(load({}).config.allowedOrigins).toEqual([]);
  });
});

describe('environment', () => {
  test('nests by two underscores, and one underscore parts words', () => {
    const { config } = load({
      env: {
        EVERYWIRE_LIMITS__WAIT_MS_MAX: '1000',
        EVERYWIRE_LIMITS__PAYLOADBYTESMAX: '2048',
        EVERYWIRE_ALLOWED_ORIGINS: 'https://a.example, https://b.example',
        EVERYWIRE_TRANSPORTS__SSE: 'off',
        EVERYWIRE_NAMESPACES: '{"chat/**": {"retention": {"count": 5}}}',
        EVERYWIRE_STORE: 'memory:',
      },
    });
    expect(config.limits.waitMsMax).toBe(1000);
    expect(config.limits.payloadBytesMax).toBe(2048);
    expect(config.allowedOrigins).toEqual(['https://a.example', 'https://b.example']);
    expect(config.transports.sse).toBe(false);
    expect(config.namespaces).toEqual({ 'chat/**': { retention: { count: 5 } } });
    expect(config.store).toBe('memory:');
  });

  test('a secret can come from a file, without the line break at its end', () => {
    const path = join(folder, 'store');
    writeFileSync(path, 'lmdb:/srv/a\n');
    expect(load({ env: { EVERYWIRE_STORE_FILE: path } }).config.store).toBe('lmdb:/srv/a');
    const missing = problemsOf({ env: { EVERYWIRE_STORE_FILE: `${path}-none` } });
    expect(missing).toEqual([`environment EVERYWIRE_STORE_FILE: cannot read ${path}-none (ENOENT).`]);
    expect(problemsOf({ env: { EVERYWIRE_LOG__LEVEL_FILE: path } })[0]).toContain('unknown variable');
  });

  test('an unknown variable is reported with the probable name', () => {
    expect(problemsOf({ env: { EVERYWIRE_PROT: '1' } })).toEqual([
      'environment: unknown variable EVERYWIRE_PROT. Did you mean EVERYWIRE_PORT?',
    ]);
    expect(problemsOf({ env: { EVERYWIRE_LIMITS__WAIT_MAX_MS: '1' } })[0]).toContain(
      'Did you mean EVERYWIRE_LIMITS__WAIT_MS_MAX?',
    );
  });

  test("Kubernetes' links to a service of our name are no settings", () => {
    const env = {
      EVERYWIRE_PORT: 'tcp://10.0.0.1:80',
      EVERYWIRE_PORT_80_TCP: 'tcp://10.0.0.1:80',
      EVERYWIRE_PORT_80_TCP_ADDR: '10.0.0.1',
      EVERYWIRE_SERVICE_HOST: '10.0.0.1',
      EVERYWIRE_SERVICE_PORT: '80',
    };
    expect(load({ env }).config.http.port).toBe(8080);
  });
});

describe('units', () => {
  test.each([
    ['256KiB', 262_144],
    ['1MiB', 1_048_576],
    ['0.5MiB', 524_288],
    ['64kB', 64_000],
    ['1000', 1_000],
  ])('a size may be written as %s', (text, bytes) => {
    const file = `limits: { payloadBytesMax: ${text} }\nnamespaces: { a: { payloadBytesMax: ${text} } }`;
    const { limits, namespaces } = load({ file }).config;
    expect([limits.payloadBytesMax, namespaces['a']!.payloadBytesMax]).toEqual([bytes, bytes]);
    const env = { EVERYWIRE_LIMITS__PAYLOAD_BYTES_MAX: text };
    expect(load({ env }).config.limits.payloadBytesMax).toBe(bytes);
    expect(namespacesOf(load({ file: `retention: { bytes: ${text} }` }).config).rulesOf('x')).toMatchObject({
      retention: { bytesMax: bytes },
    });
  });

  test.each([
    ['1500ms', 1_500],
    ['10s', 10_000],
    ['7d', 604_800_000],
    ['PT1M', 60_000],
    ['P1DT1H', 90_000_000],
    // In the unit of the key.
    ['250', 250],
  ])('a length of time may be written as %s', (text, durationMs) => {
    expect(load({ file: `limits: { waitMsMax: ${text} }` }).config.limits.waitMsMax).toBe(durationMs);
    expect(load({ env: { EVERYWIRE_LIMITS__WAIT_MS_MAX: text } }).config.limits.waitMsMax).toBe(durationMs);
  });

  test('the other lengths of time read the same', () => {
    const file =
      'auth: { jwt: { leewaySeconds: PT20S } }\nretention: { age: P7D }\n' +
      'webhooks: { retryDelays: [PT5S, 1h] }\nlimits: { mqttKeepAliveSecondsMax: 2m }';
    const { config } = load({ file });
    expect(config.auth.jwt.leewaySeconds).toBe(20);
    expect(config.limits.mqttKeepAliveSecondsMax).toBe(120);
    expect(webhooksOf(config).retryDelaysMs).toEqual([5_000, 3_600_000]);
    expect(namespacesOf(config).rulesOf('x').retention.ageMsMax).toBe(604_800_000);
    const issuers = JSON.stringify([{ issuer: 'a', jwks: 'https://a.example/jwks', leewaySeconds: '7s' }]);
    expect(load({ env: { EVERYWIRE_AUTH__ISSUERS: issuers } }).config.auth.issuers).toMatchObject([
      { leewaySeconds: 7 },
    ]);
  });

  test('every limit that counts bytes or time says so, and no problem shows a pattern', () => {
    for (const { path, schema } of listLeaves()) {
      const [section, name = ''] = path;
      if (section === 'limits' && /Bytes|Ms(Max|Min)?$/.test(name))
        expect([name, schema.unit]).not.toContain(undefined);
      expect(describeSchema(schema)).not.toMatch(/[\\^$]/);
    }
    const [problem] = problemsOf({ file: 'limits: { drainMs: soon }' });
    expect(problem).toMatch(
      /limits\.drainMs is a length of time such as 500ms, 10s, 7d or PT1M, or a number of milliseconds, not "soon"\.$/,
    );
    const [age] = problemsOf({ file: 'retention: { age: 7 weeks }' });
    expect(age).toContain('a length of time such as 30s, 12h, 7d, P7D');
  });

  test('the JSON Schema takes texts too', () => {
    const schema = JSON.stringify(configJsonSchema());
    expect(schema).toMatch(
      /"payloadBytesMax":\{[^}]*"anyOf":\[\{"type":"integer"[^\]]*"type":"string","pattern"/,
    );
    expect(schema).not.toMatch(/"(words|unit)":/);
  });
});

describe('what is refused', () => {
  test.each([
    ['a misspelt section', 'htpp: { port: 1 }', /:1: unknown key htpp\. Did you mean http\?$/],
    ['a misspelt key', 'http:\n  prot: 1', /:2: unknown key http\.prot\. Did you mean http\.port\?$/],
    ['a key in the wrong section', 'host: ::1', /unknown key host\. Did you mean http\.host\?$/],
    ['a key like nothing', 'zzzzzzzz: 1', /unknown key zzzzzzzz\.$/],
    ['__proto__', '__proto__: { port: 1 }', /unknown key __proto__/],
    ['constructor', 'http: { constructor: 1 }', /unknown key http\.constructor/],
    ['a port out of range', 'http: { port: 65536 }', /is a whole number from -1 to 65535, not 65536\.$/],
    ['a port as text', 'http: { port: "80" }', /not "80"\.$/],
    ['an unknown word', 'durability: fsink', /durability is "fsync" or "os" or "memory", not "fsink"\.$/],
    ['a value where a section is', 'http: 8080', /http is a section with keys, not 8080\.$/],
    ['a list where a section is', 'limits: [1]', /limits is a section/],
    ['an age without a unit that exists', 'retention: { age: 7y }', /retention\.age is .*not "7y"\.$/],
    [
      'an unknown key of a namespace',
      'namespaces: { a: { retension: {} } }',
      /unknown key namespaces\.a\.retension\. Did you mean namespaces\.a\.retention\?$/,
    ],
    ['an invalid filter', 'namespaces: { "a/**/b": {durability: fsync} }', /"a\/\*\*\/b" is not a filter/],
    [
      'a durability that the store does not offer',
      'durability: os',
      /durability: The lmdb store does not offer "os": it flushes before every answer\. Use "fsync"\.$/,
    ],
    [
      'a namespace with one',
      'namespaces: { "a/**": {durability: memory} }',
      /namespaces: "a\/\*\*": durability: The lmdb store does not offer "memory"/,
    ],
    ['an origin with a path', 'allowedOrigins: [https://a.example/x]', /allowedOrigins is a list/],
    ['an origin without a scheme', 'allowedOrigins: [a.example]', /allowedOrigins is a list/],
    [
      'an origin with a user',
      'allowedOrigins: [https://me@a.example]',
      /"https:\/\/me@a\.example" can never match/,
    ],
    ['an origin with a bad port', 'allowedOrigins: [https://a.example:x]', /can never match.*such as/],
    [
      'every page of this machine on a public server',
      'allowedOrigins: dev\ninsecure: true\nhttp: { host: 0.0.0.0 }',
      /allowedOrigins: dev .*on loopback/,
    ],
    [
      'limits that contradict each other',
      'limits: { pageMessagesDefault: 2000 }',
      /must not exceed limits\.pageMessagesMax/,
    ],
    ['nothing to listen on', 'http: { port: -1 }', /http\.port -1: HTTP cannot be turned off/],
    [
      'no transport',
      'transports: {poll: false, stream: false, sse: false, websocket: false, socketio: false, stomp: false, mqtt: false, grpc: false, webhook: false}',
      /every transport is off/,
    ],
    ['invalid YAML', 'http: [', /:1: is not YAML/],
    ['a key given twice', 'store: a\nstore: b', /:2: is not YAML: Map keys must be unique/],
  ])('%s', (_, file, message) => {
    const problems = problemsOf({ file });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });

  test('everything that is wrong at once', () => {
    expect(
      problemsOf({ file: 'a: 1\nb: 2', env: { EVERYWIRE_C: '3' }, flags: [{ ...portFlag, text: 'x' }] }),
    ).toEqual([
      expect.stringMatching(/yaml:1: unknown key a\./),
      expect.stringMatching(/yaml:2: unknown key b\./),
      expect.stringMatching(/EVERYWIRE_C/),
      'flag --port: http.port is a whole number from -1 to 65535, not "x".',
    ]);
  });

  test('a file that was asked for and is not there', () => {
    const file = join(folder, 'other.yaml');
    expect(() => loadConfig({ folder, env: {}, flags: [], file })).toThrow('there is no such file');
    expect(() => loadConfig({ folder, env: { EVERYWIRE_CONFIG: file }, flags: [] })).toThrow(ConfigError);
  });

  test.each(['0.0.0.0', '::', '192.168.1.4', 'example.com', '2001:db8::1'])(
    'the public address %s while authentication is off, unless --insecure',
    (host) => {
      const flag: Flag = { flag: '--host', path: ['http', 'host'], text: host };
      expect(problemsOf({ flags: [flag] })[0]).toContain('not loopback');
      const insecure: Flag = { flag: '--insecure', path: ['insecure'], text: 'true' };
      expect(load({ flags: [flag, insecure] }).config.http.host).toBe(host);
    },
  );

  test.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost'])('not the loopback address %s', (host) => {
    expect(completeConfig({ http: { host } }).config.http.host).toBe(host);
  });

  test('a signing key that is too short, and its text is not repeated', () => {
    for (const given of [
      { env: { EVERYWIRE_JWT_SECRET: 'hunter2hunter2' } },
      { env: { EVERYWIRE_AUTH__JWT__SECRET: 'hunter2hunter2' } },
      { file: 'auth: { jwt: { secret: hunter2hunter2 } }' },
      { flags: [{ flag: '--jwt-secret', path: ['auth', 'jwt', 'secret'], text: 'hunter2hunter2' }] },
    ]) {
      const problems = problemsOf(given);
      rmSync(join(folder, 'everywire.yaml'), { force: true });
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain('at least 32');
      expect(problems[0]).not.toContain('hunter2');
    }
  });
});

test('a program gives part of the configuration', () => {
  const { config } = completeConfig({ store: 'memory:', namespaces: { 'a/*': { durability: 'os' } } });
  expect(config.store).toBe('memory:');
  expect(config.http.port).toBe(8080);
  expect(config.namespaces).toEqual({ 'a/*': { durability: 'os' } });
  expect(() => completeConfig({ http: { port: 70_000 } })).toThrow(ConfigError);
});

test('given values differ from defaults, and mean the same when they are given again', () => {
  const loaded = completeConfig({ mqtt: { port: 1883 }, namespaces: { 'a/*': { durability: 'fsync' } } });
  expect(isDefault(loaded, ['mqtt', 'port'])).toBe(false);
  expect(isDefault(loaded, ['stomp', 'port'])).toBe(true);
  const given = givenConfig(loaded);
  expect(given).toEqual({ mqtt: { port: 1883 }, namespaces: { 'a/*': { durability: 'fsync' } } });
  expect(completeConfig(given)).toEqual(loaded);
});

describe('a secret in the wrong place', () => {
  const secret = 'correct horse battery staple and more';
  test.each([
    { auth: secret },
    { auth: { jwt: secret } },
    { auth: { jwt: { algorithm: secret } } },
    { auth: { jwt: { [secret]: true } } },
    { auth: { [secret]: 'x' } },
    { tls: secret },
    { tls: { passphrase: [secret] } },
  ])('is not told again: case %#', (given) => {
    const wrong = given as unknown as ConfigInput;
    expect(() => completeConfig(wrong)).toThrow(ConfigError);
    expect(() => completeConfig(wrong)).not.toThrow(/horse|staple/);
  });

  test('a key that is nearly right is still told', () => {
    const wrong = { auth: { jwt: { secrets: 'x' } } } as unknown as ConfigInput;
    expect(() => completeConfig(wrong)).toThrow(/auth\.jwt\.secrets.*Did you mean auth\.jwt\.secret\?/);
  });
});

test('a namespace cannot allow larger payloads than the limits', () => {
  const namespaces = { 'chat/**': { payloadBytesMax: 4_096 } };
  expect(() => completeConfig({ limits: { payloadBytesMax: 1_024 }, namespaces })).toThrow(/allows 1024/);
  expect(completeConfig({ limits: { payloadBytesMax: 4_096 }, namespaces }).config.namespaces).toEqual(
    namespaces,
  );
});
