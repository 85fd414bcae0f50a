import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { request } from 'node:https';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Clock, Log } from '../../../packages/server/src/index.ts';
import { systemClock } from '../../../packages/server/src/runtime/clock.ts';
import { Inbox } from '../../drivers/inbox.ts';
import { endEverything, serveEverywire } from '../../support/everywire.ts';
import { TestAuthority, type Pair } from './certificates.ts';
import { portOf, startSecureServer, type SecureServer } from './server.ts';

interface Line {
  readonly level: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

let authority: TestAuthority;
let ca: string;
beforeAll(() => {
  authority = new TestAuthority();
  ca = readFileSync(authority.ca, 'utf8');
});
afterAll(() => {
  endEverything();
  authority.dispose();
});

const lookEveryMs = 2_000;
/** The files are looked at forty times as often; all else goes as it goes. */
const quick: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs === lookEveryMs ? delayMs / 40 : delayMs, run),
};

function logInto(lines: Inbox<Line>): Log {
  const to =
    (level: string) =>
    (fields: object, text: string): void => {
      if (text.includes('TLS certificate')) lines.push({ level, text, fields: fields as Line['fields'] });
    };
  return { debug: () => undefined, info: to('info'), warn: to('warn'), error: to('error') };
}

/** The serial number of what is shown at a port now. */
async function serialAt(port: number, more: object = {}): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, ca, ...more });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe('a certificate that is exchanged', () => {
  let server: SecureServer;
  let lines: Inbox<Line>;
  let folder: string;
  let used: Pair;
  let count = 0;
  const sockets: (WebSocket | TLSSocket)[] = [];

  beforeAll(async () => {
    folder = join(authority.folder, 'live');
    mkdirSync(folder);
    used = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    await place(authority.issueForLoopback());
    lines = new Inbox();
    server = await startSecureServer(used, {}, { log: logInto(lines), clock: quick });
    expect(await lines.next()).toMatchObject({ level: 'info', text: 'TLS certificate loaded' });
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.removeAllListeners().on('error', () => undefined);
  });
  afterAll(() => server.stop());

  /** As certbot does: the new files get the old names. */
  async function place({ cert, key }: Pair): Promise<void> {
    for (const [from, to] of [
      [cert, used.cert],
      [key, used.key],
    ] as const) {
      count += 1;
      const other = join(folder, `.new-${count}`);
      copyFileSync(from, other);
      renameSync(other, to);
    }
  }

  function ports(): readonly (readonly [number, object])[] {
    return [
      [portOf(server.url), {}],
      [portOf(server.mqtts), {}],
      [portOf(server.stomps), {}],
      [Number(server.grpc.split(':')[1]), { ALPNProtocols: ['h2'] }],
    ];
  }

  const serials = (): Promise<readonly string[]> =>
    Promise.all(ports().map(([port, more]) => serialAt(port, more)));

  it('is shown on every listener, and connections that are open live on', async () => {
    const [before] = await serials();
    const socket = new WebSocket(`${server.url.replace('https', 'wss')}/channels/live?format=raw`, { ca });
    sockets.push(socket);
    const inbox = new Inbox<string>();
    socket.on('message', (data: Buffer) => inbox.push(data.toString()));
    await once(socket, 'open');
    await place(authority.issueForLoopback());
    expect(await lines.next()).toMatchObject({ level: 'info', text: 'TLS certificate loaded' });
    const after = await serials();
    expect(new Set(after).size).toBe(1);
    expect(after[0]).not.toBe(before);
    socket.send('still here');
    expect(await inbox.next()).toBe('still here');
    socket.terminate();
  });

  it('stays as it was while the new pair cannot be used, with an error that holds nothing of it', async () => {
    const before = await serials();
    const { cert } = authority.issueForLoopback();
    await place({ cert, key: used.key });
    const mismatch = await lines.next();
    expect(mismatch).toMatchObject({
      level: 'error',
      text: 'the TLS certificate was not renewed; the old one stays',
      fields: { reason: `tls.key ${used.key} is not the key of tls.cert ${used.cert}.` },
    });
    writeFileSync(used.key, '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
    const broken = await lines.next();
    expect(broken).toMatchObject({ level: 'error' });
    expect(JSON.stringify(broken)).not.toContain('c2VjcmV0');
    rmSync(used.key);
    expect(await lines.next()).toMatchObject({
      level: 'error',
      fields: { reason: `tls.key ${used.key} cannot be read (ENOENT).` },
    });
    expect(await serials()).toEqual(before);
    await place(authority.issueForLoopback());
    expect(await lines.next()).toMatchObject({ level: 'info' });
    expect(await serials()).not.toEqual(before);
  });

  it('warns of one that is about to expire', async () => {
    await place(authority.issueForLoopback(3));
    expect(await lines.next()).toMatchObject({ level: 'info', fields: { days: 2 } });
    expect(await lines.next()).toMatchObject({ level: 'warn', text: 'the TLS certificate expires soon' });
  });

  it('does not resume TLS sessions of the earlier certificate', async () => {
    const { session } = await sessionAt(portOf(server.mqtts), {});
    expect((await sessionAt(portOf(server.mqtts), { session })).isReused).toBe(true);
    await place(authority.issueForLoopback());
    expect(await lines.next()).toMatchObject({ level: 'info' });
    expect((await sessionAt(portOf(server.mqtts), { session })).isReused).toBe(false);
  });

  async function sessionAt(port: number, more: object): Promise<{ session: Buffer; isReused: boolean }> {
    // In TLS 1.2 the ticket comes within the handshake.
    const socket = connectTls({ host: '127.0.0.1', port, ca, maxVersion: 'TLSv1.2', ...more });
    await once(socket, 'secureConnect');
    const got = { session: socket.getSession()!, isReused: socket.isSessionReused() };
    socket.destroy();
    return got;
  }
});

it('a folder that is exchanged under its link, as Kubernetes does, is seen', async () => {
  const folder = join(authority.folder, 'mounted');
  mkdirSync(folder);
  const version = (name: string): void => {
    const { cert, key } = authority.issueForLoopback();
    mkdirSync(join(folder, name));
    copyFileSync(cert, join(folder, name, 'tls.crt'));
    copyFileSync(key, join(folder, name, 'tls.key'));
    symlinkSync(name, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  version('..1');
  symlinkSync('..data/tls.crt', join(folder, 'tls.crt'));
  symlinkSync('..data/tls.key', join(folder, 'tls.key'));
  const lines = new Inbox<Line>();
  const pair = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  const server = await startSecureServer(pair, {}, { log: logInto(lines), clock: quick });
  try {
    await lines.next();
    const before = await serialAt(portOf(server.url));
    version('..2');
    expect(await lines.next()).toMatchObject({ text: 'TLS certificate loaded' });
    expect(await serialAt(portOf(server.url))).not.toBe(before);
  } finally {
    await server.stop();
  }
});

it('SIGHUP reads the files at once', async () => {
  const pair = { cert: join(authority.folder, 'hup.pem'), key: join(authority.folder, 'hup.key') };
  const write = (): void => {
    const { cert, key } = authority.issueForLoopback();
    copyFileSync(cert, pair.cert);
    copyFileSync(key, pair.key);
  };
  write();
  const ports = ['--mqtts-port', '-1', '--stomps-port', '-1'];
  const tls = ['--tls-cert', pair.cert, '--tls-key', pair.key, ...ports, '--log-level', 'info'];
  const served = await serveEverywire(tls);
  const loads = (text: string): number => text.split('TLS certificate loaded').length - 1;
  try {
    const before = await serialAt(served.port);
    write();
    served.child.kill('SIGHUP');
    await served.until('stderr', (text) => loads(text) === 2);
    expect(await serialAt(served.port)).not.toBe(before);
    const asked = request({ host: '127.0.0.1', port: served.port, ca, path: '/livez' }).end();
    const [answer] = (await once(asked, 'response')) as [{ readonly statusCode: number; resume(): void }];
    answer.resume();
    expect(answer.statusCode).toBe(200);
  } finally {
    await served.dispose();
  }
});
