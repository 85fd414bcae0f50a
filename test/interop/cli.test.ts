import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  endEverything,
  runEverywire,
  serveEverywire,
  type Running,
  type ServedEverywire,
} from '../support/everywire.ts';

afterAll(endEverything);

const schemes = [
  'http',
  'poll+http',
  'longpoll+http',
  'stream+http',
  'sse+http',
  'ws',
  'stomp',
  'stomp+ws',
  'mqtt',
  'mqtt+ws',
  'sio+http',
] as const;

const oneOfEach = ['http', 'longpoll+http', 'sse+http', 'ws', 'stomp', 'mqtt', 'sio+http'] as const;
/** Of those that share a reader only long runs try every end on all. */
const readers = process.env['EVERYWIRE_LONG'] === undefined ? oneOfEach : schemes;

interface Envelope {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly data?: unknown;
}

/** Publishes without a separate process, for tests of other features. */
async function post(server: ServedEverywire, channel: string, data: string): Promise<Envelope> {
  const response = await fetch(server.at('http', `channels/${channel}`), {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain' },
    body: data,
  });
  expect(response.status).toBe(201);
  return (await response.json()) as Envelope;
}

/** A separate channel per test and scheme; the + of a scheme would be a wildcard. */
function nameOf(test: string, scheme: string): string {
  return `${test}/${scheme.replace('+', '-')}`;
}

function envelopes(stdout: string): readonly Envelope[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Envelope);
}

describe('publish and subscribe', () => {
  let server: ServedEverywire;
  beforeAll(async () => {
    server = await serveEverywire();
  });
  afterAll(() => server.dispose());

  async function publish(url: string, data: string, ...options: readonly string[]): Promise<Envelope> {
    const { code, stdout, stderr } = await runEverywire(['publish', ...options, url, data]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as Envelope;
  }

  test.each(schemes)('%s: earlier messages, and messages published meanwhile', async (scheme) => {
    const channel = nameOf('both', scheme);
    const first = await publish(server.at(scheme, channel), 'before');
    expect(first).toMatchObject({ channel, offset: 1, cursor: expect.any(String), id: expect.any(String) });
    const url = server.at(scheme, channel);
    const reader = runEverywire([
      'subscribe',
      url,
      '--since',
      'earliest',
      '--count',
      '2',
      '--timeout',
      '20s',
    ]);
    await reader.until('stdout', (text) => text.includes('before'));
    const second = await post(server, channel, 'meanwhile');
    const { code, stdout, stderr } = await reader.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(envelopes(stdout)).toMatchObject([
      { channel, offset: 1, data: 'before', cursor: first.cursor },
      { channel, offset: 2, data: 'meanwhile', cursor: second.cursor },
    ]);
  });

  test('a cursor of one scheme is good on every other', async () => {
    const channel = 'cursors';
    const receipts: Envelope[] = [];
    for (const data of ['1', '2', '3']) receipts.push(await post(server, channel, data));
    const readers = schemes.map(async (scheme) => {
      const from = ['--after', receipts[0]!.cursor, '--count', '2', '--timeout', '20s'];
      const { stdout } = await runEverywire(['subscribe', server.at(scheme, channel), ...from]).ended;
      return envelopes(stdout).map(({ data, cursor }) => ({ data, cursor }));
    });
    const rest = receipts.slice(1).map(({ cursor }, at) => ({ data: String(at + 2), cursor }));
    for (const read of await Promise.all(readers)) expect(read).toEqual(rest);
  });

  test('every scheme reports a gap', async () => {
    const channel = 'gaps';
    const { cursor } = await post(server, channel, 'kept');
    const strange = cursor.replace(/^1....../, '1zzzzzz');
    const readers = schemes.map(async (scheme) => {
      const from = ['--after', strange, '--count', '1', '--timeout', '20s'];
      const { stdout, stderr } = await runEverywire(['subscribe', server.at(scheme, channel), ...from]).ended;
      return { scheme, isSaid: stderr.includes('gap: '), data: envelopes(stdout).map(({ data }) => data) };
    });
    for (const read of await Promise.all(readers)) {
      expect(read).toEqual({ scheme: read.scheme, isSaid: true, data: ['kept'] });
    }
  });

  test('a filter brings its channels, with numbers and media types as they were', async () => {
    const json = '{"n":12345678901234567890,"m":1.0}';
    await publish(server.at('ws', 'typed/a'), json, '--json', '--event', 'tick', '--header', 'lang=ko');
    await publish(server.at('http', 'typed/b'), '방', '--type', 'text/plain');
    for (const scheme of schemes) {
      const from = ['--since', 'earliest', '--count', '2', '--timeout', '20s'];
      const { stdout } = await runEverywire(['subscribe', server.at(scheme, 'typed/**'), ...from]).ended;
      expect(stdout).toContain(`"data":${json}`);
      expect(envelopes(stdout)).toMatchObject([
        { channel: 'typed/a', event: 'tick', type: 'application/json', headers: { lang: 'ko' } },
        { channel: 'typed/b', data: '방', type: 'text/plain' },
      ]);
    }
  });

  test('--raw writes payloads, binary ones byte for byte', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    const url = server.at('http', 'raw');
    expect((await runEverywire(['publish', url, '-'], { input: bytes }).ended).code).toBe(0);
    await post(server, 'raw', 'text');
    const reader = runEverywire([
      'subscribe',
      url,
      '--raw',
      '--since',
      'earliest',
      '--count',
      '2',
      '--timeout',
      '20s',
    ]);
    reader.child.stdout.setEncoding('latin1');
    expect((await reader.ended).stdout).toBe(`${bytes.toString('latin1')}text\n`);
  });

  test('a publish id is stored once', async () => {
    for (const scheme of ['http', 'ws', 'stomp', 'mqtt', 'sio+http']) {
      const url = server.at(scheme, nameOf('once', scheme));
      const first = await publish(url, 'a', '--key', 'k');
      expect(await publish(url, 'a', '--key', 'k')).toEqual({ ...first, duplicate: true });
      const other = await runEverywire(['publish', url, 'b', '--key', 'k']).ended;
      expect(other).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('conflict') });
    }
  });

  test.each(readers)('%s: nothing in time is exit code 1', async (scheme) => {
    const { code, stdout, stderr } = await runEverywire([
      'subscribe',
      server.at(scheme, 'quiet'),
      '--timeout',
      '300ms',
    ]).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('timed out after 300ms with 0 messages');
  });

  test.each(readers)('%s: Ctrl-C is exit code 130', async (scheme) => {
    const url = server.at(scheme, nameOf('interrupted', scheme));
    await post(server, nameOf('interrupted', scheme), 'here');
    const reader = runEverywire(['subscribe', url, '--since', 'earliest']);
    await reader.until('stdout', (text) => text.includes('here'));
    reader.child.kill('SIGINT');
    expect((await reader.ended).code).toBe(130);
  });

  test('a reader that goes away is no error', async () => {
    const url = server.at('sse+http', 'pipe');
    await post(server, 'pipe', 'one');
    const reader = runEverywire(['subscribe', url, '--since', 'earliest']);
    await reader.until('stdout', (text) => text.includes('one'));
    reader.child.stdout.destroy();
    await post(server, 'pipe', 'two');
    expect(await reader.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test.each(readers)('%s: a refusal is exit code 1 with its code', async (scheme) => {
    const refused = await runEverywire(['subscribe', server.at(scheme, 'a'), '--after', 'nonsense']).ended;
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('bad_cursor') });
    const published = await runEverywire(['publish', server.at(scheme, 'a/*'), 'x']).ended;
    expect(published).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('bad_name') });
  });

  test.each(['http', 'ws', 'stomp', 'mqtt', 'mqtt+ws', 'sio+http'])(
    '%s: without a server the exit code is 3',
    async (scheme) => {
      const closed = await findClosedPort();
      const url = `${scheme}://127.0.0.1:${closed}/a`;
      for (const command of [
        ['publish', url, 'x'],
        ['subscribe', url],
      ]) {
        const { code, stdout, stderr } = await runEverywire(command).ended;
        expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
        expect(stderr).toContain('cannot be reached (ECONNREFUSED)');
      }
    },
  );
});

/** A port that was free a moment ago. */
async function findClosedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('usage', () => {
  test.each([
    [['subscribe', 'ftp://localhost/a'], 'ftp: is not a scheme of Everywire'],
    [['subscribe', 'localhost'], 'is not a URL'],
    [['subscribe', 'http://localhost/a', '--count', '0'], 'at least 1'],
    [['subscribe', 'http://localhost/a', '--timeout', 'soon'], '--timeout is a length of time'],
    [['subscribe', 'http://localhost/a', '--since', 'yesterday'], 'since must be earliest'],
    [['subscribe', 'http://localhost/a', '--since', '-5m', '--after', 'x'], 'Give either --after or --since'],
    [['publish', 'http://localhost/a', 'x', '--header', 'novalue'], 'name=value'],
    [['publish'], "missing required argument 'url'"],
    [['serve', '--prot', '1'], '(Did you mean --port?)'],
    [['sevre'], '(Did you mean serve?)'],
    [['serve', '--port', 'x'], 'http.port is a whole number'],
    [['serve', '--host', '0.0.0.0'], 'not loopback'],
    [['serve', '--jwt-secret', 'hunter2'], 'at least 32'],
    [['config', 'check', '--durability', 'x'], 'durability is "fsync"'],
    [['config', 'check', '--durability', 'os'], 'The lmdb store does not offer "os"'],
    [['serve', '--durability', 'memory'], 'The lmdb store does not offer "memory"'],
  ])('%j is exit code 2', async (args, words) => {
    const { code, stdout, stderr } = await runEverywire(args).ended;
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('    at ');
  });

  test('help has examples, and version is that of the package', async () => {
    const help = await runEverywire(['--help']).ended;
    expect(help).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('everywire subscribe sse+http://'),
    });
    const path = new URL('../../packages/server/package.json', import.meta.url);
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string };
    expect(await runEverywire(['--version']).ended).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe('config and doctor', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('unknown keys of file and environment are reported with the probable name', async () => {
    writeFileSync(join(folder, 'everywire.yaml'), 'http:\n  prot: 1\n');
    const env = { EVERYWIRE_DURABILTY: 'os' };
    for (const args of [['config', 'check'], ['serve']]) {
      const { code, stderr } = await runEverywire(args, { cwd: folder, env }).ended;
      expect(code).toBe(2);
      expect(stderr).toMatch(/everywire\.yaml:2: unknown key http\.prot\. Did you mean http\.port\?/);
      expect(stderr).toContain('Did you mean EVERYWIRE_DURABILITY?');
    }
  });

  test('show tells values and sources, schema is JSON Schema', async () => {
    writeFileSync(join(folder, 'everywire.yaml'), 'store: "memory:"\n');
    const env = { PORT: '9001' };
    const shown = await runEverywire(['config', 'show', '--durability', 'os'], { cwd: folder, env }).ended;
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/\n {2}port: 9001 +# environment PORT\n/);
    expect(shown.stdout).toMatch(/\nstore: "memory:" +# .*everywire\.yaml:1\n/);
    expect(shown.stdout).toMatch(/\ndurability: "os" +# flag --durability\n/);
    const schema = await runEverywire(['config', 'schema']).ended;
    expect(JSON.parse(schema.stdout)).toHaveProperty('properties.namespaces');
    const checked = await runEverywire(['config', 'check'], { cwd: folder }).ended;
    expect(checked).toMatchObject({ code: 0, stderr: expect.stringContaining('1 of its values') });
  });

  test('doctor finds a port that is taken', async () => {
    const good = await runEverywire(['doctor', '--port', '0', '--store', 'memory:']).ended;
    expect(good).toMatchObject({ code: 0, stdout: expect.stringMatching(/^good +Node 24/) });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const bad = await runEverywire(['doctor', '--port', String(port), '--store', 'memory:']).ended;
    await new Promise((resolve) => server.close(resolve));
    expect(bad).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`bad       Port ${port} on 127.0.0.1 is taken`),
    });
    expect(bad.stdout).toContain('A port on 127.0.0.1 can be chosen (MQTT)');
    expect(bad.stdout).toContain('A port on 127.0.0.1 can be chosen (STOMP)');
  });
});

describe('one judge', () => {
  test.each([
    {
      what: 'a host without an address',
      args: ['--insecure', '--host', 'no-such-host.invalid'],
      words: 'does not resolve',
    },
    {
      what: 'a host of another machine',
      args: ['--insecure', '--host', '192.0.2.1'],
      words: 'not an address of this machine',
    },
    {
      what: 'a store that does not exist',
      args: ['--store', 'redis://u:secret@h'],
      words: 'no store for "redis:"',
    },
    {
      what: 'a target of webhooks that is not a host',
      env: { EVERYWIRE_WEBHOOKS__ALLOW_TARGETS: 'a b' },
      words: 'a b is not a host',
    },
    {
      what: 'a certificate that is not there',
      args: ['--tls-cert', '/none.pem', '--tls-key', '/none.key'],
      words: 'cannot be read (ENOENT)',
    },
  ])('config check, doctor and serve refuse $what', async ({ args = [], env = {}, words }) => {
    const options = { env: { EVERYWIRE_STORE: 'memory:', ...env } };
    const checked = await runEverywire(['config', 'check', ...args], options).ended;
    expect(checked).toMatchObject({ code: 2, stderr: expect.stringContaining(words) });
    const examined = await runEverywire(['doctor', '--port', '0', ...args], options).ended;
    expect(examined).toMatchObject({ code: 1, stdout: expect.stringContaining(words) });
    const served = await runEverywire(['serve', '--port', '0', ...args], options).ended;
    expect(served).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(words) });
    for (const { stdout, stderr } of [checked, examined, served])
      expect(stdout + stderr).not.toContain('secret');
  });
});

describe('a port of another protocol', () => {
  let server: ServedEverywire;
  beforeAll(async () => {
    server = await serveEverywire();
  });
  afterAll(() => server.dispose());

  test.each(['grpc', 'mqtt', 'stomp', 'http', 'ws', 'sio+http'])(
    '%s: says what may be wrong',
    async (scheme) => {
      const own: Readonly<Record<string, string | undefined>> = {
        grpc: server.grpc,
        mqtt: server.mqtt && new URL(server.mqtt).host,
        stomp: server.stomp && new URL(server.stomp).host,
      };
      const isOwn = scheme in own;
      const others = isOwn ? [new URL(server.http).host] : [];
      for (const [name, place] of Object.entries(own)) if (name !== scheme) others.push(place!);
      for (const place of others) {
        const { code, stderr } = await runEverywire(['publish', `${scheme}://${place}/a`, 'x']).ended;
        expect(stderr).toMatch(
          isOwn
            ? /is \S+ the port of (MQTT|STOMP|gRPC) \(\d+ by default\)\?/
            : /is \S+ the port of HTTP \(8080 by default\)\?/,
        );
        expect([code, stderr.includes('    at ')]).toEqual([1, false]);
      }
    },
  );

  test('a subscriber says so too, and how long it waited', async () => {
    const url = `grpc://${new URL(server.http).host}/a`;
    const { code, stderr } = await runEverywire(['subscribe', url, '--timeout', '2']).ended;
    expect(code).toBe(1);
    expect(stderr).toContain('the port of gRPC (50051 by default)?; resuming');
    expect(stderr).toContain('timed out after 2 s with 0 messages.');
  });
});

describe('doctor on a data folder', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-doctor-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('finds it new, in use, whole, and damaged', async () => {
    const data = join(folder, 'data');
    const doctor = ['doctor', '--port', '0', '--store', `lmdb:${data}`];
    const empty = await runEverywire(doctor).ended;
    expect(empty).toMatchObject({ code: 0, stdout: expect.stringContaining('holds no messages yet') });

    const server = await serveEverywire(['--store', `lmdb:${data}`]);
    await post(server, 'a/b', 'one');
    const used = await runEverywire(doctor).ended;
    expect(used.code).toBe(1);
    expect(used.stdout).toContain(`bad       The data folder ${data} is used by process ${server.child.pid}`);
    expect(used.stdout).toContain('is whole: 1 messages in 1 channels');
    server.child.kill('SIGTERM');
    await server.ended;
    await server.dispose();

    const whole = await runEverywire(doctor).ended;
    expect(whole).toMatchObject({ code: 0, stdout: expect.stringContaining('is used by no other server') });

    const file = join(data, 'data.mdb');
    const bytes = readFileSync(file);
    const at = bytes.lastIndexOf('one');
    expect(at).toBeGreaterThan(0);
    writeFileSync(file, Buffer.concat([bytes.subarray(0, at), Buffer.from('two'), bytes.subarray(at + 3)]));
    const damaged = await runEverywire(doctor).ended;
    expect(damaged).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`bad       ${data} is damaged`),
    });
  });

  describe('of which a part was overwritten', () => {
    let whole: string;
    beforeAll(async () => {
      whole = join(folder, 'whole');
      const server = await serveEverywire(['--store', `lmdb:${whole}`]);
      for (let index = 0; index < 3; index += 1) await post(server, 'a/b', 'x'.repeat(9_000));
      server.child.kill('SIGTERM');
      await server.ended;
      await server.dispose();
    });

    test.each([
      { what: 'a first page that is not LMDB’s', at: 0, bytes: 4_096 },
      { what: 'a meta page with a wrong page size', at: 48, bytes: 4 },
      { what: 'pages that hold noise', at: 8_192, bytes: 1_000_000 },
    ])('survives $what', async ({ at, bytes }) => {
      const data = join(folder, `noise-${at}`);
      cpSync(whole, data, { recursive: true });
      const file = join(data, 'data.mdb');
      const content = readFileSync(file);
      content.fill(0xa5, at, Math.min(at + bytes, content.length));
      writeFileSync(file, content);
      const { code, signal, stdout } = await runEverywire([
        'doctor',
        '--port',
        '0',
        '--store',
        `lmdb:${data}`,
      ]).ended;
      expect({ code, signal }).toEqual({ code: 1, signal: null });
      expect(stdout).toMatch(/bad {7}.*damaged/);
    });
  });

  test('judges it as serve would, where it cannot be used at all', async () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const lost = join(folder, 'lost');
    mkdirSync(lost);
    writeFileSync(join(lost, 'format'), 'everywire-lmdb 1\n');
    for (const data of [file, join(file, 'data'), lost]) {
      const args = ['--port', '0', '--store', `lmdb:${data}`];
      const found = await runEverywire(['doctor', ...args]).ended;
      const served = await runEverywire(['serve', ...args]).ended;
      expect([data, found.code, served.code]).toEqual([data, 1, 1]);
      const [, words] = /^bad +(.*)$/m.exec(found.stdout)!;
      expect(served.stderr).toContain(words);
    }
  });
});

describe('serve', () => {
  test('prints the table, writes the ready file, and takes it away', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-ready-'));
    const readyFile = join(folder, 'ready.json');
    const server = await serveEverywire();
    await server.dispose();
    const running = runEverywire(['serve', '--port', '0', '--store', 'memory:', '--ready-file', readyFile]);
    const table = await running.until('stdout', (text) => text.includes('In a browser:'));
    const ready = JSON.parse(readFileSync(readyFile, 'utf8'));
    expect(ready).toMatchObject({
      pid: running.child.pid,
      http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      mqtt: expect.stringMatching(/^mqtt:\/\/127\.0\.0\.1:\d+$/),
      stomp: expect.stringMatching(/^stomp:\/\/127\.0\.0\.1:\d+$/),
    });
    for (const name of [
      'publish',
      'poll',
      'longpoll',
      'stream',
      'sse',
      'websocket',
      'socketio',
      'stomp',
      'mqtt',
    ]) {
      expect(table).toMatch(new RegExp(`^ {2}${name} +(http|ws)://127\\.0\\.0\\.1:\\d+/.*\n +\\$ `, 'm'));
    }
    const live = await fetch(`${ready.http}/readyz`);
    expect(live.status).toBe(200);
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
    expect(existsSync(readyFile)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  test('the ready file can be asked for by the environment', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-ready-'));
    const readyFile = join(folder, 'ready.json');
    const env = { EVERYWIRE_READY_FILE: readyFile, PORT: '0', EVERYWIRE_STORE: 'memory:' };
    const running = runEverywire(['serve'], { env });
    await running.until('stdout', (text) => text.includes('curl'));
    expect(JSON.parse(readFileSync(readyFile, 'utf8'))).toMatchObject({ pid: running.child.pid });
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(130);
    expect(existsSync(readyFile)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  test('a second start leaves the ready file of the first alone, and its own end that of another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-ready-'));
    const readyFile = join(folder, 'ready.json');
    const args = ['serve', '--store', 'memory:', '--ready-file', readyFile];
    const first = runEverywire([...args, '--port', '0']);
    await first.until('stdout', (text) => text.includes('curl'));
    const { http } = JSON.parse(readFileSync(readyFile, 'utf8')) as { readonly http: string };
    const second = await runEverywire([...args, '--port', new URL(http).port]).ended;
    expect(second.code).toBe(1);
    expect(JSON.parse(readFileSync(readyFile, 'utf8'))).toMatchObject({ pid: first.child.pid });
    const third = runEverywire([...args, '--port', '0']);
    await third.until('stdout', (text) => text.includes('curl'));
    first.child.kill('SIGTERM');
    await first.ended;
    expect(JSON.parse(readFileSync(readyFile, 'utf8'))).toMatchObject({ pid: third.child.pid });
    third.child.kill('SIGKILL');
    await third.ended;
    const after = await runEverywire([...args, '--port', '0', '--host', '192.0.2.1', '--insecure']).ended;
    expect(after.code).toBe(1);
    rmSync(folder, { recursive: true });
  });

  test('ends quietly when the reader of its table goes, as with | head -1', async () => {
    const running = runEverywire(['serve', '--port', '0', '--store', 'memory:']);
    running.child.stdout.destroy();
    expect(await running.ended).toMatchObject({ code: 0, stderr: expect.not.stringMatching(/rror|Warning/) });
  });

  test('SIGTERM ends every kind of subscriber and exits 0', async () => {
    const server = await serveEverywire();
    const readers = [];
    for (const scheme of schemes) {
      const url = server.at(scheme, nameOf('drain', scheme));
      await post(server, nameOf('drain', scheme), 'here');
      const reader = runEverywire(['subscribe', url, '--since', 'earliest']);
      await reader.until('stdout', (text) => text.includes('here'));
      readers.push(reader);
    }
    server.child.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, stderr: '' });
    // Each keeps trying with its cursor, and says so.
    for (const reader of readers) {
      await reader.until('stderr', (text) => /resuming after 1\w+\./.test(text));
      reader.child.kill('SIGINT');
      expect((await reader.ended).code).toBe(130);
    }
    await server.dispose();
  });

  test('a subscriber of each scheme resumes by its cursor after a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-restart-'));
    const store = ['--store', `lmdb:${join(folder, 'data')}`];
    const first = await serveEverywire(store);
    const until = ['--since', 'earliest', '--count', '3', '--timeout', '60s'];
    const readers = new Map<string, Running>();
    for (const scheme of schemes) {
      const channel = nameOf('restart', scheme);
      await post(first, channel, 'one');
      readers.set(scheme, runEverywire(['subscribe', first.at(scheme, channel), ...until]));
    }
    for (const reader of readers.values()) await reader.until('stdout', (text) => text.includes('one'));
    first.child.kill('SIGKILL');
    for (const reader of readers.values())
      await reader.until('stderr', (text) => text.includes('resuming after'));
    await first.dispose();
    const second = await serveEverywire([...store, ...first.ports]);
    for (const data of ['two', 'three'])
      for (const scheme of schemes) await post(second, nameOf('restart', scheme), data);
    for (const [scheme, reader] of readers) {
      const { code, stdout } = await reader.ended;
      const read = envelopes(stdout).map(({ data, offset }) => [data, offset]);
      expect({ scheme, code, read }).toEqual({
        scheme,
        code: 0,
        read: [
          ['one', 1],
          ['two', 2],
          ['three', 3],
        ],
      });
    }
    await second.dispose();
    rmSync(folder, { recursive: true });
  });

  test('a port that is taken is named, and the exit code is 1', async () => {
    const server = await serveEverywire();
    const other = await runEverywire(['serve', '--store', 'memory:', '--port', String(server.port)]).ended;
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toContain(`port ${server.port} on 127.0.0.1 is taken`);
    expect(other.stderr).not.toContain('    at ');
    await server.dispose();
  });

  test.each(['mqtt', 'stomp'])('so is a port of %s that was asked for', async (name) => {
    const server = await serveEverywire();
    const port = new URL(server.at(name, '')).port;
    const args = ['serve', '--store', 'memory:', '--port', '0', `--${name}-port`, port];
    const other = await runEverywire(args).ended;
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toContain(`${name}: port ${port} on 127.0.0.1 is taken`);
    expect(other.stderr).not.toContain('    at ');
    await server.dispose();
  });

  test('a store that does not exist is an error that names those that do', async () => {
    const { code, stderr } = await runEverywire(['serve', '--store', 'mongodb://x', '--port', '0']).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/no store for "mongodb:".*memory:/);
  });
});
