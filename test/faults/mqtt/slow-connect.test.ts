import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, describe, it } from 'vitest';
import { endEverything, serveEverywire, type ServedEverywire } from '../../support/everywire.ts';
import { sizeOf } from '../store/sizes.ts';

/** Connections at once; each address of loopback has its share of ports. */
const connections = sizeOf({ ci: 200, release: 2_000 });
const addresses = 16;
/** Bytes that each connection sends: below the 16 KiB that a peer may send in one packet before it is admitted. */
const sentBytes = 15 * 1_024;
const pieces = 20;
/** In which all of it is sent: longer than the time to be admitted. */
const sendingMs = 12_000;
const closedWithinMs = 11_000;
const grownMbMax = 64;

const connect5 = Buffer.from([0x10]);
/** MQTT 5, no flags, no keep alive, no properties; the client id takes up the rest. */
const variableHeader = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 0, 0]);

const announced = [
  // Refused for what it announces, before anything is kept.
  { what: '256 MB', length: Buffer.from([0xff, 0xff, 0xff, 0x7f]), keptBytes: 0 },
  // Allowed, and kept until the time to be admitted is over: as pieces, each with what Node keeps beside it.
  { what: '16,000 bytes', length: Buffer.from([0x80, 0x7d]), keptBytes: 2 * sentBytes },
];

afterAll(endEverything);

// In parallel, each on a separate server, because all of them only wait until the handshake times out.
describe.concurrent.each(announced)(
  `${connections} connections that announce a CONNECT of $what and send 15 KiB slowly`,
  ({ length, keptBytes }) => {
    it.for(['TCP', 'WebSocket'] as const)(
      'over %s are closed in time, and cost next to no memory',
      { timeout: 60_000 },
      async (link, { expect }) => {
        const server = await serveEverywire();
        const beforeMb = residentMb(server.child.pid!);
        const clients = Array.from({ length: connections }, (_, index) => open(server, link, index));
        let peakMb = beforeMb;
        const watching = setInterval(() => (peakMb = Math.max(peakMb, residentMb(server.child.pid!))), 200);
        const bytes = Buffer.concat([connect5, length, variableHeader], sentBytes);
        const trickling = clients.map((client) => trickle(client, link, bytes));
        const elapsedMs = Math.max(...(await Promise.all(clients.map(({ openMs }) => openMs))));
        await Promise.all(trickling);
        clearInterval(watching);
        console.info(
          JSON.stringify({ link, connections, elapsedMs: Math.round(elapsedMs), beforeMb, peakMb }),
        );
        expect(peakMb - beforeMb).toBeLessThanOrEqual(
          grownMbMax + Math.ceil((connections * keptBytes) / 1_048_576),
        );
        // What else the machine does is no fault of the server's, except where it is measured.
        expect(elapsedMs).toBeLessThanOrEqual(sizeOf({ ci: 3 * closedWithinMs, release: closedWithinMs }));
        expect((await fetch(`${server.http}/livez`)).status).toBe(200);
        await server.dispose();
      },
    );
  },
);

interface Client {
  readonly socket: Socket;
  /** Resolves once bytes of MQTT may be sent. */
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  /** How long it was open. */
  readonly openMs: Promise<number>;
}

function open(server: ServedEverywire, link: 'TCP' | 'WebSocket', index: number): Client {
  const port = Number(new URL(link === 'TCP' ? server.at('mqtt', '') : server.http).port);
  const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.0.${2 + (index % addresses)}` });
  // A server that has closed answers the next piece with a reset.
  socket.on('error', () => socket.destroy());
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const openMs = once(socket, 'connect').then(async () => {
    const fromMs = performance.now();
    await closed;
    return performance.now() - fromMs;
  });
  if (link === 'TCP') {
    socket.resume();
    return { socket, ready: Promise.race([once(socket, 'connect'), closed]), closed, openMs };
  }
  socket.write(
    `GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
  );
  return { socket, ready: Promise.race([once(socket, 'data'), closed]), closed, openMs };
}

/** Sends `bytes` piece by piece until they are sent or the connection has ended. */
async function trickle(
  { socket, ready, closed }: Client,
  link: 'TCP' | 'WebSocket',
  bytes: Buffer,
): Promise<void> {
  await ready;
  const pieceBytes = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length && socket.writable; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    socket.write(link === 'TCP' ? piece : Buffer.concat([frameHead(piece.length), piece]));
    await Promise.race([new Promise((resolve) => setTimeout(resolve, sendingMs / pieces)), closed]);
  }
}

/** Of a client's binary frame of 126 to 65,535 bytes whose mask is zero (RFC 6455 §5.2). */
function frameHead(length: number): Buffer {
  return Buffer.from([0x82, 0x80 | 126, length >> 8, length & 0xff, 0, 0, 0, 0]);
}

function residentMb(pid: number): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1_024);
}
