import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { Reader } from '../drivers/driver.ts';
import { drivers } from '../drivers/index.ts';
import { endEverything, serveEverywire, type ServedEverywire } from '../support/everywire.ts';

/** A peer that never answers the server's goodbye must not keep it from going. */

afterAll(endEverything);

let server: ServedEverywire | undefined;
afterEach(async () => {
  await server?.dispose();
  server = undefined;
});

interface Mute {
  readonly socket: Socket;
  text: string;
}

/** Sends a request of HTTP. */
function openMute(port: number, request: readonly string[]): Promise<Mute> {
  return openMuteWith(port, `${request.join('\r\n')}\r\n\r\n`);
}

/** Opens a connection, sends that, and resolves with the first bytes of the answer. From then on it only listens. */
async function openMuteWith(port: number, first: string | Buffer): Promise<Mute> {
  // Half open, so that the server's end of the connection is not answered either.
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const peer = { socket, text: '' };
  socket.setEncoding('latin1').on('data', (chunk: string) => (peer.text += chunk));
  socket.on('error', () => socket.destroy());
  socket.write(first);
  await once(socket, 'data');
  return peer;
}

const upgrade = [
  'GET /channels/a HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];
/** MQTT 5, clean start, without a client id. */
const mqttConnect = Buffer.from([0x10, 13, 0, 4, ...Buffer.from('MQTT'), 5, 2, 0, 60, 0, 0, 0]);
const stompConnect = 'CONNECT\naccept-version:1.2\nhost:everywire\n\n\0';
const sse = ['GET /channels/a HTTP/1.1', 'Host: localhost', 'Accept: text/event-stream'];

test('peers that do not go are cut, and the exit code is 0', async () => {
  server = await serveEverywire([], { env: { EVERYWIRE_LIMITS__DRAIN_MS: '1500' } });
  const peers = [await openMute(server.port, upgrade), await openMute(server.port, sse)];
  const closed = peers.map(({ socket }) => once(socket, 'close'));
  server.child.kill('SIGTERM');
  for (const { socket } of peers) socket.once('end', () => socket.end());
  expect((await server.ended).code).toBe(0);
  await Promise.all(closed);
  // Close with 1001, going away (RFC 6455 §7.4.1).
  expect(peers[0]!.text).toContain('\x88');
  expect(peers[0]!.text).toContain('\x03\xe9');
  expect(peers[1]!.text).toContain('retry: ');
});

test('so are those of MQTT and STOMP, after a word in their own terms', async () => {
  server = await serveEverywire([], { env: { EVERYWIRE_LIMITS__DRAIN_MS: '1500' } });
  const mqtt = await openMuteWith(Number(new URL(server.mqtt!).port), mqttConnect);
  const stomp = await openMuteWith(Number(new URL(server.stomp!).port), stompConnect);
  const closed = [mqtt, stomp].map(({ socket }) => once(socket, 'close'));
  server.child.kill('SIGTERM');
  for (const { socket } of [mqtt, stomp]) socket.once('end', () => socket.end());
  expect(await server.ended).toMatchObject({ code: 0, stderr: '' });
  await Promise.all(closed);
  // DISCONNECT with server shutting down (MQTT 5 §3.14.2.1).
  expect(mqtt.text).toMatch(/\xe0.\x8b/s);
  expect(stomp.text).toContain('\0ERROR\nmessage:going_away\n');
});

test('readers on every wire, and those that take nothing, do not keep it longer than drainMs', async () => {
  const drainMs = 5_000;
  server = await serveEverywire([], {
    env: {
      EVERYWIRE_LIMITS__DRAIN_MS: String(drainMs),
      EVERYWIRE_WEBHOOKS__ALLOW_TARGETS: '127.0.0.1',
      // Nothing may keep the process alive: Node reports a needed `process.exit()` on standard error.
      NODE_OPTIONS: '--trace-exit',
    },
  });
  const { http, mqtt, stomp, grpc } = server;
  const addresses = { url: http, mqtt, stomp, grpc };
  const readers: Reader[] = [];
  for (const driver of drivers) {
    readers.push(await driver.read(addresses, 'busy/*'));
    const deaf = await driver.read(addresses, 'busy/*');
    deaf.pause?.();
    readers.push(deaf);
  }
  for (const reader of readers) {
    reader.goodbye.catch(() => undefined);
  }
  const body = Buffer.alloc(60_000, 'x');
  for (let at = 0; at < 100; at += 1) {
    const answer = await fetch(`${http}/channels/busy/${at % 3}`, { method: 'POST', body });
    expect(answer.status).toBe(201);
  }
  const beganMs = performance.now();
  server.child.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0, stderr: '' });
  expect(performance.now() - beganMs).toBeLessThan(drainMs + 30_000);
  for (const reader of readers) reader.cut();
});

test.each([
  ['SIGTERM', 1],
  ['SIGINT', 130],
] as const)('a second %s stops at once', async (signal, code) => {
  server = await serveEverywire(['--log-level', 'info'], { env: { EVERYWIRE_LIMITS__DRAIN_MS: '600000' } });
  const { socket } = await openMute(server.port, upgrade);
  server.child.kill(signal);
  await server.until('stderr', (text) => text.includes('a second signal stops at once'));
  server.child.kill(signal);
  expect((await server.ended).code).toBe(code);
  socket.destroy();
});

test('a server outlives the reader of its log', async () => {
  server = await serveEverywire(['--log-level', 'debug']);
  server.child.stderr.destroy();
  server.child.stdout.destroy();
  // Refused, and logged at this level.
  await fetch(`${server.http}/channels/a%00`, { method: 'POST', body: 'x' });
  await openMute(server.port, ['nonsense']).then(({ socket }) => socket.destroy());
  expect((await fetch(`${server.http}/livez`)).status).toBe(200);
  server.child.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
});
