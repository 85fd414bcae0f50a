import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Log } from '../../../packages/server/src/index.ts';
import { openssl } from '../../../scripts/tools.ts';
import { endPrograms, runProgram } from '../../support/program.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { describeWith } from '../tool-suite.ts';
import { TestAuthority } from './certificates.ts';
import { portOf, startSecureServer, type SecureServer } from './server.ts';

const handshakeTimeoutMs = 1_000;
const crowd = 500;
const mib = 1024 ** 2;

let authority: TestAuthority;
let ca: string;
let server: SecureServer;
let plain: TestServer;
const said: { readonly text: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
const log: Log = {
  debug: () => undefined,
  info: (fields, text) => said.push({ text, fields: fields as never }),
  warn: (fields, text) => said.push({ text, fields: fields as never }),
  error: (fields, text) => said.push({ text, fields: fields as never }),
};

beforeAll(async () => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
  server = await startSecureServer(authority.issueForLoopback(), { limits: { handshakeTimeoutMs } }, { log });
  plain = await startTestServer({});
});
afterAll(async () => {
  endPrograms();
  await server.stop();
  await plain.stop();
  authority.dispose();
});

function listeners(): readonly (readonly [name: string, port: number])[] {
  return [
    ['http', portOf(server.url)],
    ['mqtts', portOf(server.mqtts)],
    ['stomps', portOf(server.stomps)],
    ['grpc', Number(server.grpc.split(':')[1])],
  ];
}

/** What came until the other side closed. */
async function ended(socket: Socket): Promise<string> {
  let received = '';
  socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('close', resolve));
  return received;
}

/** The error that a handshake ends with, or the version that was agreed on. */
function handshake(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2'], ...options });
    socket.once('secureConnect', () => {
      resolve(socket.getProtocol() ?? 'none');
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

it('TLS 1.3 and 1.2 are spoken on every listener, 1.1 on none', async () => {
  for (const [, port] of listeners()) {
    expect(await handshake(port, {})).toBe('TLSv1.3');
    expect(await handshake(port, { maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
    // So old that OpenSSL offers it only at security level 0.
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    expect(await handshake(port, old)).toMatch(/ERR_SSL|ECONNRESET|EPROTO/);
  }
});

describe('plain text at a port that speaks TLS', () => {
  it('is answered in HTTP, with the remedy', async () => {
    const socket = connectTcp(portOf(server.url), '127.0.0.1');
    socket.write('GET /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const answer = await ended(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('This port uses TLS; use an https address.');
  });

  it('ends the connection everywhere else, and the log reports it', async () => {
    for (const [name, port] of listeners().slice(1)) {
      const socket = connectTcp(port, '127.0.0.1');
      socket.write('CONNECT\naccept-version:1.2\n\n\0');
      expect(await ended(socket), name).toBe('');
    }
    // Once in ten seconds, whichever listener it was: the request above was the first.
    const told = said.filter(({ text }) => text === 'a peer speaks plain text to a TLS port');
    expect(told.map(({ fields }) => fields)).toEqual([{ name: 'http', address: '127.0.0.1' }]);
  });
});

describe('TLS at a port that speaks plain text', () => {
  it.each([
    ['http', () => portOf(plain.url)],
    ['mqtt', () => portOf(plain.mqtt!)],
    ['stomp', () => portOf(plain.stomp!)],
    ['grpc', () => Number(plain.grpc!.split(':')[1])],
  ])('%s ends the connection', async (_name, port) => {
    expect(await handshake(port(), {})).toMatch(/WRONG_VERSION|ECONNRESET|EPROTO|PACKET_LENGTH/);
  });
});

describe('a handshake that is not finished', () => {
  it.each(['mqtts', 'http'])(
    'is cut in time on %s, whether it says nothing, half of it or a byte at a time',
    async (name) => {
      const port = listeners().find(([one]) => one === name)![1];
      const silent = connectTcp(port, '127.0.0.1');
      const half = connectTcp(port, '127.0.0.1');
      half.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]));
      const slow = connectTcp(port, '127.0.0.1');
      slow.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]));
      const dripping = setInterval(() => slow.write(Buffer.of(3)), 50);
      const startedMs = performance.now();
      await Promise.all([ended(silent), ended(half), ended(slow)]);
      clearInterval(dripping);
      const tookMs = performance.now() - startedMs;
      expect(tookMs).toBeGreaterThanOrEqual(handshakeTimeoutMs * 0.9);
      expect(tookMs).toBeLessThan(handshakeTimeoutMs + 30_000);
    },
  );

  it(`${crowd} of them are cut in time, cost little, and keep no other client out`, async () => {
    const port = portOf(server.mqtts);
    const before = process.memoryUsage().rss;
    const sockets: Socket[] = [];
    const gone: Promise<string>[] = [];
    // As large as a hello may be that is announced and never comes to its end.
    const hello = Buffer.concat([
      Buffer.from([0x16, 3, 1, 0x3f, 0xf0, 1, 0, 0x3f, 0xec]),
      Buffer.alloc(8 * 1024),
    ]);
    for (let at = 0; at < crowd; at += 1) {
      const socket = connectTcp(port, '127.0.0.1');
      sockets.push(socket);
      gone.push(ended(socket));
      await once(socket, 'connect');
      socket.write(hello);
    }
    expect(await handshake(port, {})).toBe('TLSv1.3');
    const held = process.memoryUsage().rss - before;
    const startedMs = performance.now();
    await Promise.all(gone);
    expect(performance.now() - startedMs).toBeLessThan(handshakeTimeoutMs + 30_000);
    expect(held).toBeLessThan(96 * mib);
  });

  it('does not keep a server from stopping', async () => {
    const other = await startSecureServer(authority.issueForLoopback(), { limits: { drainMs: 60_000 } });
    const sockets = [portOf(other.url), portOf(other.mqtts), Number(other.grpc.split(':')[1])].map((port) =>
      connectTcp(port, '127.0.0.1'),
    );
    const gone = sockets.map(ended);
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.write(Buffer.from([0x16, 3, 1]));
    // Until it has been read, which an answer on another connection shows.
    expect(await handshake(portOf(other.url), {})).toBe('TLSv1.3');
    const startedMs = performance.now();
    await other.stop();
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    await Promise.all(gone);
  });
});

describeWith(openssl, 'openssl s_client', () => {
  it('is refused renegotiation', async () => {
    const place = ['-connect', `127.0.0.1:${portOf(server.stomps)}`, '-CAfile', authority.ca, '-tls1_2'];
    const program = runProgram('openssl', ['s_client', ...place], 'R\n');
    const lines = await program.done.catch((error: unknown) => [(error as Error).message]);
    expect(lines.join('\n')).toMatch(/RENEGOTIATING/);
    expect(lines.join('\n')).toMatch(/no renegotiation/i);
  });
});
