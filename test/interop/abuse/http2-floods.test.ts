import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endEverything, serveEverywire, type ServedEverywire } from '../../support/everywire.ts';
import { mint, testSecret } from '../../support/tokens.ts';
import { TestAuthority } from '../tls/certificates.ts';
import { encodeFields, type Field } from '../../clients/grpc/hpack.ts';
import {
  callHead,
  codes,
  data,
  flags,
  frame,
  head,
  ourSettings,
  preface,
  types,
} from '../../clients/grpc/http2-peer.ts';
import { cpuMs, GoodClient, residentMib } from './crowd.ts';

/** The floods that gRPC's own port is tested with in clear text, where HTTP/2 is spoken within TLS. */
const floodCpuMsMax = 2_000;
const grownMibMax = 64;
const eight = Buffer.alloc(8);
const cancel = Buffer.from([0, 0, 0, codes.cancel]);

const authority = new TestAuthority();
let server: ServedEverywire;
let good: GoodClient;

beforeAll(async () => {
  const { cert, key } = authority.issueForLoopback();
  server = await serveEverywire([], {
    env: {
      EVERYWIRE_JWT_SECRET: testSecret,
      EVERYWIRE_TLS__CERT: cert,
      EVERYWIRE_TLS__KEY: key,
      EVERYWIRE_MQTTS_PORT: '0',
      EVERYWIRE_STOMPS_PORT: '0',
    },
  });
  good = new GoodClient(server, await mint(testSecret, { publish: ['**'] }));
  good.start();
});
afterAll(async () => {
  await good.stop();
  await server.dispose();
  authority.dispose();
  endEverything();
});

interface Port {
  readonly name: string;
  readonly port: () => number;
  /** What begins a request that is not over. */
  readonly request: readonly Field[];
}

const ports: readonly Port[] = [
  {
    name: 'https',
    port: () => server.port,
    request: [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':path', '/channels/a'],
      [':authority', 'test'],
    ],
  },
  {
    name: 'grpcs',
    port: () => Number(server.grpc!.split(':')[1]),
    request: callHead('/everywire.v1.Messaging/Stream'),
  },
];

type Flood = readonly [
  what: string,
  count: number,
  frameAt: (at: number, request: readonly Field[]) => Buffer,
];

const floods: readonly Flood[] = [
  [
    'HEADERS and RST_STREAM',
    100_000,
    (at, request) => (at % 2 === 0 ? head(at + 1, request) : frame(types.rstStream, 0, at, cancel)),
  ],
  [
    'CONTINUATION',
    10_000,
    (at, request) => (at === 0 ? head(1, request, 0) : frame(types.continuation, 0, 1)),
  ],
  [
    'CONTINUATION with fields',
    10_000,
    (at, request) =>
      at === 0
        ? head(1, request, 0)
        : frame(types.continuation, 0, 1, encodeFields([[`x${at}`, 'a'.repeat(90)]])),
  ],
  ['PING', 100_000, () => frame(types.ping, 0, 0, eight)],
  ['SETTINGS', 100_000, () => frame(types.settings, 0, 0)],
  ['empty DATA', 100_000, (at, request) => (at === 0 ? head(1, request) : data(1, Buffer.alloc(0)))],
  [
    'requests that are over at once',
    100_000,
    (at, request) => head(2 * at + 1, request, flags.endHeaders | flags.endStream),
  ],
];

describe.each(ports)('$name', ({ port, request }) => {
  it.each(floods)('a flood of %s is cut short, at next to no cost', async (what, count, frameAt) => {
    const pid = server.child.pid!;
    const [cpuBefore, mibBefore] = [cpuMs(pid), residentMib(pid)];
    good.p99Ms();
    const socket = await dial(port());
    const sent = await flood(socket, count, (at) => frameAt(at, request));
    const told = await goodbyeOf(socket, sent);
    const spentMs = cpuMs(pid) - cpuBefore;
    const grownMib = residentMib(pid) - mibBefore;
    console.info(JSON.stringify({ what, sent: sent.frames, told, spentMs, grownMib, p99Ms: good.p99Ms() }));
    expect(told).toMatch(/^closed/);
    expect(spentMs).toBeLessThan(floodCpuMsMax);
    expect(grownMib).toBeLessThan(grownMibMax);
    expect(good.failures).toBe(0);
  });

  it('4,000 crumbs of a cookie, in references of one byte, are refused', async () => {
    const socket = await dial(port());
    const block = Buffer.concat([
      encodeFields(request),
      Buffer.from('600161', 'hex'),
      Buffer.alloc(4_000, 0xbe),
    ]);
    const received = receive(socket);
    socket.write(
      Buffer.concat([
        preface,
        ourSettings,
        frame(types.headers, flags.endHeaders | flags.endStream, 1, block),
      ]),
    );
    await received.until(({ type, stream }) => type === types.rstStream && stream === 1);
    socket.destroy();
  });
});

async function dial(port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

interface Sent {
  readonly frames: number;
  readonly received: Receiving;
}

/** Writes until all is written or the server has had enough. */
async function flood(socket: TLSSocket, count: number, frameAt: (at: number) => Buffer): Promise<Sent> {
  const received = receive(socket);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(Buffer.concat([preface, ourSettings]));
  let frames = 0;
  while (frames < count && socket.writable) {
    const some = Array.from({ length: Math.min(500, count - frames) }, (_, at) => frameAt(frames + at));
    frames += some.length;
    if (!socket.write(Buffer.concat(some)))
      await Promise.race([once(socket, 'drain').catch(() => undefined), closed]);
  }
  return { frames, received };
}

/** The code of its GOAWAY if one came; resolves when the connection has ended or is quiet because all was taken. */
async function goodbyeOf(socket: TLSSocket, { received }: Sent): Promise<string> {
  const asked = Buffer.from('are you!');
  if (socket.writable) socket.write(frame(types.ping, 0, 0, asked));
  await received.until(({ type, payload }) => type === types.ping && payload.equals(asked));
  const goaway = received.frames.find(({ type }) => type === types.goaway)?.payload.readUInt32BE(4);
  const told = `${socket.destroyed ? 'closed' : 'open'}, GOAWAY ${goaway ?? 'none'}`;
  socket.destroy();
  return told;
}

interface Received {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

interface Receiving {
  readonly frames: readonly Received[];
  /** Resolves with the first such frame, or the end of the connection. */
  until(isIt: (one: Received) => boolean): Promise<void>;
}

function receive(socket: TLSSocket): Receiving {
  const frames: Received[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let isClosed = false;
  const watchers = new Set<() => void>();
  const look = (): void => {
    for (const one of watchers) one();
  };
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest[3]!,
        stream: rest.readUInt32BE(5),
        payload: Buffer.from(rest.subarray(9, end)),
      });
      rest = rest.subarray(end);
    }
    look();
  });
  socket.once('close', () => {
    isClosed = true;
    look();
  });
  return {
    frames,
    until: (isIt) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!isClosed && !frames.some(isIt)) return;
          watchers.delete(check);
          resolve();
        };
        watchers.add(check);
        check();
      }),
  };
}
