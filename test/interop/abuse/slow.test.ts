import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endEverything, serveEverywire, type ServedEverywire } from '../../support/everywire.ts';
import { mint, testSecret } from '../../support/tokens.ts';
import { sizeOf } from '../../faults/store/sizes.ts';
import { TestAuthority } from '../tls/certificates.ts';
import { cpuMs, GoodClient, residentMib } from './crowd.ts';
import { mqttConnect } from './listeners.ts';

/** Everything that has to come within `handshakeTimeoutMs`, a byte at a time by many at once. */
const connections = sizeOf({ ci: 300, release: 1_000 });
/** A listener reads from 64 strangers of one address at a time; these come of enough to be read from all at once. */
const addresses = sizeOf({ ci: 8, release: 32 });
const handshakeTimeoutMs = sizeOf({ ci: 1_000, release: 10_000 });
/** How long a peer may take to close after the server has sent the reason. */
const closeTimeoutMs = 500;
const byteEveryMs = 200;
/** Node looks at request heads once a second; and what else the machine does is no fault of the server's. */
const marginMs = 30_000;
const grownMibMax = 64;

interface Slow {
  readonly name: string;
  readonly port: (server: ServedEverywire) => number;
  /** Sent at once. */
  readonly first: (token: string) => Buffer;
  /** Sent a byte at a time. */
  readonly then: Buffer;
  /** TLS is done before. */
  readonly isSecured?: boolean;
  readonly alpn?: string;
}

const nothing = (): Buffer => Buffer.alloc(0);
const portOf = (scheme: string) => (server: ServedEverywire) =>
  scheme === 'grpc'
    ? Number(server.grpc!.split(':')[1])
    : Number(new URL(scheme === 'http' ? server.http : server.at(scheme, '')).port);
const upgrade = (path: string, protocol: string) => (): Buffer =>
  Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
const post = (token: string): Buffer =>
  Buffer.from(
    `POST /channels/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 1000\r\n\r\n`,
  );
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const head = Buffer.from('GET /channels/a HTTP/1.1\r\nHost: localhost\r\nX-Slow: '.padEnd(1_000, 'a'));
/** The masked frame of a WebSocket client, of which only the head ever comes. */
const frameHead = Buffer.from([0x82, 0xfe, 0x10, 0, 0, 0, 0, 0]);
const clientHello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(500, 0x61)]);

const plain: readonly Slow[] = [
  { name: 'HTTP request heads', port: portOf('http'), first: nothing, then: head },
  {
    name: 'bodies of requests with a token',
    port: portOf('http'),
    first: post,
    then: Buffer.alloc(1_000, 'x'),
  },
  {
    name: 'MQTT CONNECTs',
    port: portOf('mqtt'),
    first: nothing,
    then: padded(mqttConnect('t').subarray(0, 12)),
  },
  {
    name: 'STOMP CONNECTs',
    port: portOf('stomp'),
    first: nothing,
    then: padded(Buffer.from('CONNECT\nhost:x\nx:')),
  },
  {
    name: 'WebSocket opening handshakes',
    port: portOf('http'),
    first: () => upgrade('/ws', 'everywire.v1')().subarray(0, -2),
    then: head.subarray(45),
  },
  {
    name: 'MQTT over WebSocket',
    port: portOf('http'),
    first: upgrade('/mqtt', 'mqtt'),
    then: padded(frameHead),
  },
  {
    name: 'STOMP over WebSocket',
    port: portOf('http'),
    first: upgrade('/stomp', 'v12.stomp'),
    then: padded(frameHead),
  },
  { name: 'prefaces of HTTP/2', port: portOf('grpc'), first: nothing, then: preface.subarray(0, -1) },
  {
    name: 'a preface of HTTP/2 and then nothing',
    port: portOf('grpc'),
    first: () => preface,
    then: nothing(),
  },
];

const secured: readonly Slow[] = [
  { name: 'TLS handshakes with HTTPS', port: portOf('http'), first: nothing, then: padded(clientHello) },
  { name: 'TLS handshakes with MQTT', port: portOf('mqtts'), first: nothing, then: padded(clientHello) },
  { name: 'silence after TLS', port: portOf('http'), first: nothing, then: nothing(), isSecured: true },
  {
    name: 'prefaces of HTTP/2 within TLS',
    port: portOf('http'),
    first: nothing,
    then: preface.subarray(0, -1),
    isSecured: true,
    alpn: 'h2',
  },
];

afterAll(endEverything);

describe.each([
  { how: 'in clear text', attacks: plain },
  { how: 'over TLS', attacks: secured },
])(`${connections} connections $how`, ({ how, attacks }) => {
  const authority = new TestAuthority();
  let server: ServedEverywire;
  let token: string;
  let good: GoodClient;
  let quietP99Ms: number;

  beforeAll(async () => {
    const { cert, key } = authority.issueForLoopback();
    server = await serveEverywire([], {
      env: {
        EVERYWIRE_JWT_SECRET: testSecret,
        EVERYWIRE_LIMITS__HANDSHAKE_TIMEOUT_MS: String(handshakeTimeoutMs),
        EVERYWIRE_LIMITS__CLOSE_TIMEOUT_MS: String(closeTimeoutMs),
        ...(how === 'over TLS'
          ? {
              EVERYWIRE_TLS__CERT: cert,
              EVERYWIRE_TLS__KEY: key,
              EVERYWIRE_MQTTS_PORT: '0',
              EVERYWIRE_STOMPS_PORT: '0',
            }
          : {}),
      },
    });
    token = await mint(testSecret, { subscribe: ['**'], publish: ['**'] });
    good = new GoodClient(server, token);
    good.start();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    quietP99Ms = good.p99Ms();
  });
  afterAll(async () => {
    await good.stop();
    await server.dispose();
    authority.dispose();
  });

  it.each(attacks.map((attack) => ({ name: attack.name, attack })))(
    '$name: closed in time, at next to no cost',
    async ({ attack }) => {
      const pid = server.child.pid!;
      const beforeMib = residentMib(pid);
      const beforeCpuMs = cpuMs(pid);
      let peakMib = beforeMib;
      const watching = setInterval(() => (peakMib = Math.max(peakMib, residentMib(pid))), 200);
      const openMs = await Promise.all(
        Array.from({ length: connections }, (_, index) => hold(attack, server, token, index)),
      );
      clearInterval(watching);
      const p99Ms = good.p99Ms();
      console.info(
        JSON.stringify({
          attack: attack.name,
          connections,
          longestMs: Math.round(Math.max(...openMs)),
          grownMib: peakMib - beforeMib,
          cpuMs: cpuMs(pid) - beforeCpuMs,
          p99Ms,
          quietP99Ms,
        }),
      );
      expect(Math.max(...openMs)).toBeLessThan(handshakeTimeoutMs + closeTimeoutMs + marginMs);
      expect(peakMib - beforeMib).toBeLessThanOrEqual(grownMibMax);
      expect(good.failures).toBe(0);
      // The machine runs other work at the same time. The point is that no publisher waits for the slow readers.
      expect(p99Ms).toBeLessThan(Math.max(4 * quietP99Ms, 5_000));
    },
  );
});

/** How long the server put up with it, in milliseconds. */
async function hold(attack: Slow, server: ServedEverywire, token: string, index: number): Promise<number> {
  const tcp = connectTcp({
    host: '127.0.0.1',
    port: attack.port(server),
    localAddress: `127.0.0.${2 + (index % addresses)}`,
  });
  const socket: Socket =
    attack.isSecured === true
      ? connectTls({
          socket: tcp,
          rejectUnauthorized: false,
          ...(attack.alpn === undefined ? {} : { ALPNProtocols: [attack.alpn] }),
        })
      : tcp;
  // A server that has closed answers the next byte with a reset.
  for (const one of new Set([tcp, socket])) one.on('error', () => one.destroy());
  const closed = new Promise<void>((resolve) => tcp.once('close', () => resolve()));
  socket.resume();
  await Promise.race([once(socket, attack.isSecured === true ? 'secureConnect' : 'connect'), closed]);
  const fromMs = performance.now();
  socket.write(attack.first(token));
  let at = 0;
  const dripping = setInterval(() => {
    if (at < attack.then.length && socket.writable) socket.write(attack.then.subarray(at, (at += 1)));
  }, byteEveryMs);
  await closed;
  clearInterval(dripping);
  return performance.now() - fromMs;
}
