import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endEverything,
  runEverywire,
  serveEverywire,
  type Ended,
  type ServedEverywire,
} from '../../support/everywire.ts';
import { TestAuthority, type Pair } from './certificates.ts';

const publishing = ['https', 'wss', 'sio+https', 'stomps', 'mqtts', 'grpcs'] as const;
const following = [
  ...['https', 'longpoll+https', 'stream+https', 'sse+https'],
  ...['wss', 'sio+https', 'stomps', 'stomp+wss', 'mqtts', 'mqtt+wss', 'grpcs'],
] as const;

let authority: TestAuthority;
let server: ServedEverywire;
let pair: Pair;

beforeAll(async () => {
  authority = new TestAuthority();
  pair = authority.issueForLoopback();
  server = await serve([]);
});
afterAll(async () => {
  endEverything();
  await server.dispose();
  authority.dispose();
});

function serve(
  more: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ServedEverywire> {
  const tls = ['--tls-cert', pair.cert, '--tls-key', pair.key, '--mqtts-port', '0', '--stomps-port', '0'];
  return serveEverywire([...tls, ...more], { env });
}

const publish = (url: string, data: string, ...more: readonly string[]): Promise<Ended> =>
  runEverywire(['publish', url, data, '--ca', authority.ca, ...more]).ended;
const subscribe = (url: string, ...more: readonly string[]): Promise<Ended> => {
  const args = ['--since', 'earliest', '--count', '1', '--timeout', '20s'];
  return runEverywire(['subscribe', url, ...args, '--ca', authority.ca, ...more]).ended;
};

/** A few at a time: each is a process, and there are other tests. */
async function each<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
  };
  await Promise.all([work(), work(), work()]);
}

describe('the command line', { timeout: 300_000 }, () => {
  it('publishes by every wire over TLS', async () => {
    await each(publishing, async (scheme) => {
      const channel = `by-${scheme.replace('+', '-')}`;
      const { code, stdout, stderr } = await publish(server.at(scheme, channel), 'hello');
      expect([scheme, code, stderr]).toEqual([scheme, 0, '']);
      expect(JSON.parse(stdout)).toMatchObject({ channel, offset: 1 });
    });
  });

  it('follows by every wire over TLS', async () => {
    expect((await publish(server.at('https', 'followed'), 'hello')).code).toBe(0);
    await each(following, async (scheme) => {
      const { code, stdout, stderr } = await subscribe(server.at(scheme, 'followed'));
      expect([scheme, code, stderr]).toEqual([scheme, 0, '']);
      expect(JSON.parse(stdout)).toMatchObject({ channel: 'followed', data: 'hello' });
    });
  });

  it('says why it does not trust a server, and does not try for ever', async () => {
    const schemes = ['https', 'wss', 'mqtts', 'grpcs'];
    await each(schemes, async (scheme) => {
      const { code, stderr } = await runEverywire(['subscribe', server.at(scheme, 'a'), '--timeout', '20s'])
        .ended;
      expect([scheme, code]).toEqual([scheme, 3]);
      expect(stderr).toMatch(/its certificate is not trusted \(\w+\); --ca names a file of authorities/);
    });
  });

  it('takes authorities from NODE_EXTRA_CA_CERTS as well', async () => {
    const env = { NODE_EXTRA_CA_CERTS: authority.ca };
    const { code, stderr } = await runEverywire(['publish', server.at('wss', 'extra'), 'hello'], { env })
      .ended;
    expect([code, stderr]).toEqual([0, '']);
  });

  it('shows a certificate to a server that asks for one, by each client library', async () => {
    const strict = await serve([], {
      EVERYWIRE_TLS__CLIENT_CA: authority.ca,
      EVERYWIRE_TLS__CLIENT_CERTIFICATES: 'require',
    });
    try {
      const mine = authority.issue({ commonName: 'me' });
      const files = ['--client-cert', mine.cert, '--client-key', mine.key];
      await each(['https', 'wss', 'mqtts', 'grpcs'], async (scheme) => {
        const { code, stderr } = await publish(strict.at(scheme, 'strict'), 'hello', ...files);
        expect([scheme, code, stderr]).toEqual([scheme, 0, '']);
      });
      const without = await publish(strict.at('https', 'strict'), 'hello');
      expect(without.code).not.toBe(0);
    } finally {
      await strict.dispose();
    }
  });

  it.each([
    [['--client-cert', 'nowhere.pem'], /--client-cert and --client-key belong together/],
    [['--ca', 'nowhere.pem'], /--ca nowhere.pem cannot be read \(ENOENT\)/],
  ])('refuses %j', async (args, words) => {
    const { code, stderr } = await runEverywire(['publish', server.at('https', 'a'), 'hello', ...args]).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(words);
  });

  it('shows the addresses with TLS when a server starts, and never its passphrase', async () => {
    const env = { EVERYWIRE_TLS__PASSPHRASE: 'horse-battery' };
    const shown = await runEverywire(['config', 'show', '--tls-cert', pair.cert, '--tls-key', pair.key], {
      env,
    }).ended;
    expect(shown.stdout).toMatch(/passphrase: "\*+"/);
    expect(shown.stdout).not.toContain('horse-battery');
    const table = await server.until('stdout', (text) => text.includes('In a browser'));
    for (const scheme of ['https', 'wss', 'mqtts', 'stomps', 'grpcs', 'sio+https', 'mqtt+wss', 'stomp+wss'])
      expect(table).toContain(`${scheme}://127.0.0.1:`);
  });

  it.each([
    [['--tls-cert', 'a.pem'], 'tls.cert needs tls.key beside it.'],
    [['--tls-key', 'a.pem'], 'tls.key needs tls.cert beside it.'],
    [['--mqtts-port', '8883'], 'mqtt.tlsPort 8883 needs a certificate: tls.cert and tls.key.'],
  ])('a server does not start with %j alone', async (args, words) => {
    const { code, stderr } = await runEverywire(['serve', '--port', '0', '--store', 'memory:', ...args])
      .ended;
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  it('a server does not start with a key that is not the certificate’s, and says so', async () => {
    const other = authority.issueForLoopback();
    const args = [
      'serve',
      '--port',
      '0',
      '--store',
      'memory:',
      '--tls-cert',
      pair.cert,
      '--tls-key',
      other.key,
    ];
    const { code, stderr } = await runEverywire(args).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`tls.key ${other.key} is not the key of tls.cert ${pair.cert}.`);
    const [secret] = readFileSync(other.key, 'utf8').split('\n').slice(1);
    expect(stderr).not.toContain(secret);
  });
});

describe('doctor', { timeout: 60_000 }, () => {
  it('reads the files of TLS as serve does', async () => {
    const examine = ({ cert, key }: Pair): Promise<Ended> => {
      const ports = ['--port', '0', '--mqtts-port', '0', '--stomps-port', '0'];
      return runEverywire(['doctor', ...ports, '--store', 'memory:', '--tls-cert', cert, '--tls-key', key])
        .ended;
    };
    const good = await examine(pair);
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/good {6}The certificate .* for DNS:localhost.* is valid until/);
    const soon = await examine(authority.issueForLoopback(3));
    expect(soon.stdout).toMatch(/doubtful {2}The certificate .*, for [23] more days/);
    const expired = await examine(authority.issue({ commonName: 'localhost', isExpired: true }));
    expect(expired.stdout).toMatch(/doubtful {2}The certificate .* expired on/);
    const other = authority.issueForLoopback();
    const wrong = await examine({ cert: pair.cert, key: other.key });
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain(`bad       tls.key ${other.key} is not the key of tls.cert ${pair.cert}.`);
  });
});
