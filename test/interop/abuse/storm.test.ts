import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { endEverything, serveEverywire, type ServedEverywire } from '../../support/everywire.ts';
import { mint, testSecret } from '../../support/tokens.ts';
import { sizeOf } from '../../faults/store/sizes.ts';
import { residentMib } from './crowd.ts';
import { mqttConnect } from './listeners.ts';

/** All of them come at the same moment, as after a restart, each with a token. */
const clients = sizeOf({ ci: 2_000, release: 10_000 });
const withinMs = 120_000;

let server: ServedEverywire;
let token: string;
const open: Socket[] = [];

beforeAll(async () => {
  server = await serveEverywire([], { env: { EVERYWIRE_JWT_SECRET: testSecret } });
  token = await mint(testSecret, { subscribe: ['**'] });
});
afterEach(async () => {
  await Promise.all(
    open.splice(0).map(
      (socket) =>
        new Promise((resolve) => {
          socket.once('close', resolve);
          socket.resetAndDestroy();
        }),
    ),
  );
});
afterAll(async () => {
  await server.dispose();
  endEverything();
});

interface Way {
  readonly name: string;
  readonly port: () => number;
  readonly hello: () => Buffer;
  readonly isIn: (answer: Buffer) => boolean;
}

const ways: readonly Way[] = [
  {
    name: 'WebSocket',
    port: () => server.port,
    hello: () =>
      Buffer.from(
        `GET /channels/a HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n` +
          'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      ),
    isIn: (answer) => answer.includes('HTTP/1.1 101'),
  },
  {
    name: 'SSE',
    port: () => server.port,
    hello: () =>
      Buffer.from(
        `GET /channels/a HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nAccept: text/event-stream\r\n\r\n`,
      ),
    isIn: (answer) => answer.includes('HTTP/1.1 200'),
  },
  {
    name: 'MQTT',
    port: () => Number(new URL(server.mqtt!).port),
    hello: () => mqttConnect(token),
    isIn: (answer) => answer[0] === 0x20 && answer[3] === 0,
  },
];

describe.each(ways.map((way) => ({ name: way.name, way })))(`${clients} clients by $name`, ({ way }) => {
  it.each([
    // More than are read from at a time, so most of them wait.
    { from: 'one address', addresses: 1 },
    { from: 'many addresses', addresses: 250 },
  ])('that come at once from $from all get in', { timeout: 2 * withinMs }, async ({ from, addresses }) => {
    const fromMs = performance.now();
    const beforeMib = residentMib(server.child.pid!);
    const outcomes = await Promise.all(
      Array.from({ length: clients }, (_, index) => enter(way, `127.0.0.${2 + (index % addresses)}`)),
    );
    const refused = outcomes.filter((isIn) => !isIn).length;
    const allInMs = Math.round(performance.now() - fromMs);
    const grownMib = residentMib(server.child.pid!) - beforeMib;
    console.info(JSON.stringify({ way: way.name, from, clients, refused, allInMs, grownMib }));
    expect(refused).toBe(0);
    expect(allInMs).toBeLessThan(withinMs);
    expect(grownMib).toBeLessThan(64 + clients / 20);
  });
});

/** Resolves true once the server has let it in, false when it closed instead. */
function enter({ port, hello, isIn }: Way, localAddress: string): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port: port(), localAddress });
  open.push(socket);
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (isIn(answer)) resolve(true);
    });
    socket.once('connect', () => socket.write(hello()));
    socket.once('close', () => resolve(false));
  });
}
