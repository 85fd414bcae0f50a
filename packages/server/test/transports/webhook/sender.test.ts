import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { Sender, type SenderOptions } from '../../../src/transports/webhook/sender.ts';
import { createTargetRules } from '../../../src/transports/webhook/targets.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function makeSender(options: Partial<SenderOptions> & { readonly allow?: readonly string[] } = {}): Sender {
  const { allow = ['127.0.0.1'], ...rest } = options;
  const sender = new Sender({
    rules: createTargetRules(allow),
    timeoutMs: 1_000,
    answerBytesMax: 64 * 1024,
    perHostMax: 4,
    userAgent: 'test',
    ...rest,
  });
  stops.push(() => sender.stop());
  return sender;
}

/** A server that answers every request with the output of `answer`. */
async function listen(
  answer: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly connections: () => number }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createTcpServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

const post = (sender: Sender, url: string): ReturnType<Sender['post']> =>
  sender.post({ url: new URL(url), headers: { 'Content-Type': 'text/plain' }, body: Buffer.from('x') });

const head = (status: string, ...fields: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...fields, '', ''].join('\r\n');

/** A receiver's answer, and the result that the sender must report. */
const answers: readonly (readonly [name: string, answer: (socket: Socket) => void, expected: object])[] = [
  ['204', (socket) => socket.end(head('204 No Content')), { kind: 'taken', status: 204 }],
  ['299', (socket) => socket.end(head('299 Odd', 'Content-Length: 0')), { kind: 'taken', status: 299 }],
  [
    '301',
    (socket) => socket.end(head('301 Moved', 'Location: http://127.0.0.1:1/', 'Content-Length: 0')),
    { kind: 'failed', status: 301 },
  ],
  [
    '429 with Retry-After',
    (socket) => socket.end(head('429 Slow', 'Retry-After: 7', 'Content-Length: 0')),
    { kind: 'failed', status: 429, retryAfter: '7' },
  ],
  ['500', (socket) => socket.end(head('500 Oops', 'Content-Length: 0')), { kind: 'failed', status: 500 }],
  ['no answer', () => undefined, { kind: 'failed', reason: 'No complete answer within 1000 ms.' }],
  [
    'half a head',
    (socket) => socket.write('HTTP/1.1 200 OK\r\nX: '),
    { kind: 'failed', reason: 'No complete answer within 1000 ms.' },
  ],
  [
    'an endless trickle',
    (socket) => {
      socket.write(head('200 OK'));
      const timer = setInterval(() => socket.write('x'), 50);
      socket.on('close', () => clearInterval(timer));
    },
    { kind: 'taken', status: 200 },
  ],
  [
    'an endless flood: read up to the bound',
    (socket) => {
      socket.write(head('200 OK'));
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 120)));
      };
      socket.on('drain', more);
      more();
    },
    { kind: 'taken', status: 200 },
  ],
  [
    'a header section of 1 MiB',
    (socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1024 * 1024)}`),
    { kind: 'failed', reason: 'The header section of the answer is too long.' },
  ],
  [
    'a gzip bomb stays packed',
    (socket) => {
      const body = gzipSync(Buffer.alloc(8 * 1024 * 1024));
      socket.write(head('200 OK', 'Content-Encoding: gzip', `Content-Length: ${body.length}`));
      socket.end(body);
    },
    { kind: 'taken', status: 200 },
  ],
  ['HTTP/0.9', (socket) => socket.end('hello'), { kind: 'failed' }],
  ['HTTP/1.0', (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n'), { kind: 'taken', status: 200 }],
  [
    '101',
    (socket) => socket.end(head('101 Switching Protocols', 'Upgrade: x', 'Connection: upgrade')),
    { kind: 'failed' },
  ],
  [
    'a flood of 1xx',
    (socket) => {
      const timer = setInterval(() => socket.write(head('103 Early Hints').repeat(100)), 5);
      socket.on('close', () => clearInterval(timer));
    },
    { kind: 'failed', reason: 'No complete answer within 1000 ms.' },
  ],
  ['closed at once', (socket) => socket.destroy(), { kind: 'failed' }],
  ['reset', (socket) => socket.resetAndDestroy(), { kind: 'failed' }],
  [
    'closed within the body',
    (socket) => socket.end(`${head('200 OK', 'Content-Length: 100')}abc`),
    { kind: 'taken', status: 200 },
  ],
  [
    'reset within the body',
    (socket) => socket.write(head('200 OK', 'Content-Length: 100'), () => socket.resetAndDestroy()),
    { kind: 'taken', status: 200 },
  ],
  [
    '410 whose body does not come',
    (socket) => socket.write(head('410 Gone', 'Content-Length: 100')),
    { kind: 'failed', status: 410, reason: '410' },
  ],
];

describe('receivers that misbehave', () => {
  test.each(answers)('%s', async (_name, answer, expected) => {
    const { port } = await listen(answer);
    expect(await post(makeSender(), `http://127.0.0.1:${port}/`)).toMatchObject(expected);
  });

  test('an idle connection that is reset when it is used again: sent again at once, and no failure', async () => {
    let requests = 0;
    const { port } = await listen((socket) => {
      requests += 1;
      socket.write(head('200 OK', 'Content-Length: 0'));
      socket.once('data', () => {
        requests += 1;
        socket.resetAndDestroy();
      });
    });
    const sender = makeSender();
    for (let at = 0; at < 3; at += 1)
      expect(await post(sender, `http://127.0.0.1:${port}/`)).toMatchObject({ kind: 'taken', status: 200 });
    // More than three: at least one was sent twice.
    expect(requests).toBeGreaterThan(3);
  });

  test('no listener', async () => {
    const { port } = await listen(() => undefined);
    for (const stop of stops.splice(0)) await stop();
    expect(await post(makeSender(), `http://127.0.0.1:${port}/`)).toEqual({
      kind: 'failed',
      reason: 'The connection was refused.',
    });
  });
});

type Lookup = NonNullable<SenderOptions['lookup']>;

/** A resolver that answers each question with the next of `answers`, and stays with the last. */
function resolver(...found: readonly (readonly LookupAddress[])[]): Lookup {
  let asked = 0;
  return ((
    _host: string,
    _options: unknown,
    callback: (error: null, all: readonly LookupAddress[]) => void,
  ) => {
    const addresses = found[Math.min(asked, found.length - 1)]!;
    asked += 1;
    callback(null, addresses);
  }) as unknown as Lookup;
}

const loopback: LookupAddress = { address: '127.0.0.1', family: 4 };
const elsewhere: LookupAddress = { address: '127.0.0.2', family: 4 };
const blocked = { kind: 'failed', reason: 'The target has an address that is not allowed.' };

describe('the address is judged at every connection', () => {
  test.each<readonly [string, readonly LookupAddress[]]>([
    ['loopback', [loopback]],
    ['one public and one private', [{ address: '93.184.216.34', family: 4 }, loopback]],
    ['IPv4 mapped into IPv6', [{ address: '::ffff:127.0.0.1', family: 6 }]],
    ['link-local, where clouds keep their secrets', [{ address: '169.254.169.254', family: 4 }]],
    ['unique local', [{ address: 'fd00:ec2::254', family: 6 }]],
    ['NAT64', [{ address: '64:ff9b::7f00:1', family: 6 }]],
    ['nothing', []],
  ])('a name that resolves to %s', async (_name, addresses) => {
    const { port, connections } = await listen((socket) => socket.end(head('204 No Content')));
    const sender = makeSender({ allow: [], lookup: resolver(addresses) });
    expect(await post(sender, `http://hooks.test:${port}/`)).toEqual(blocked);
    expect(connections()).toBe(0);
  });

  test('a name that moves to another address after it was allowed once is caught', async () => {
    const { port, connections } = await listen((socket) =>
      socket.end(head('204 No Content', 'Connection: close')),
    );
    const sender = makeSender({ allow: ['127.0.0.1'], lookup: resolver([loopback], [elsewhere]) });
    expect(await post(sender, `http://hooks.test:${port}/`)).toMatchObject({ kind: 'taken' });
    expect(await post(sender, `http://hooks.test:${port}/`)).toEqual(blocked);
    expect(connections()).toBe(1);
  });

  test.each([
    'http://127.0.0.1:1/',
    'http://[::1]:1/',
    'http://[::ffff:7f00:1]:1/',
    'http://0x7f.1:1/',
    'http://2130706433:1/',
  ])('an address in the URL, which needs no look-up: %s', async (url) => {
    expect(await post(makeSender({ allow: [] }), url)).toEqual(blocked);
  });
});

describe('TLS', () => {
  const file = (name: string): string => readFileSync(new URL(`./tls/${name}`, import.meta.url), 'utf8');

  async function listenTls(): Promise<number> {
    const server = createHttpsServer({ key: file('key.pem'), cert: file('cert.pem') }, (_, response) =>
      response.writeHead(204).end(),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  test('a certificate without a trusted issuer, and one of another name, are failures', async () => {
    const port = await listenTls();
    const lookup = resolver([loopback]);
    expect(await post(makeSender({ lookup }), `https://hooks.test:${port}/`)).toMatchObject({
      kind: 'failed',
      reason: 'The connection failed: DEPTH_ZERO_SELF_SIGNED_CERT.',
    });
    const ca = file('cert.pem');
    expect(await post(makeSender({ lookup, ca }), `https://other.test:${port}/`)).toMatchObject({
      kind: 'failed',
      reason: 'The connection failed: ERR_TLS_CERT_ALTNAME_INVALID.',
    });
    expect(await post(makeSender({ lookup, ca }), `https://hooks.test:${port}/`)).toMatchObject({
      kind: 'taken',
      status: 204,
    });
  });
});
