import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientFrame } from '../../clients/websocket/client-frames.ts';
import { endEverything, serveEverywire, type ServedEverywire } from '../../support/everywire.ts';
import { mint, testSecret } from '../../support/tokens.ts';
import { encodeFields } from '../../clients/grpc/hpack.ts';
import {
  callHead,
  data,
  flags,
  frame,
  grpcMessage,
  ourSettings,
  preface,
  types,
} from '../../clients/grpc/http2-peer.ts';
import { cpuMs, GoodClient, residentMib } from './crowd.ts';
import { mqttConnect } from './listeners.ts';

/** What is allowed in whole comes in the smallest pieces that there are. */
const pieces = 100_000;
/** Fits into a payload. */
const payloadBytes = 60_000;
/** 30 µs for each piece, of which most is the system's. */
const cpuMsMax = 3_000;
const grownMibMax = 64;

let server: ServedEverywire;
let token: string;
let good: GoodClient;

beforeAll(async () => {
  // A body without an end passes this limit in time.
  const env = { EVERYWIRE_JWT_SECRET: testSecret, EVERYWIRE_LIMITS__PAYLOAD_BYTES_MAX: '65536' };
  server = await serveEverywire([], { env });
  token = await mint(testSecret, { subscribe: ['**'], publish: ['**'] });
  good = new GoodClient(server, token);
  good.start();
});
afterAll(async () => {
  await good.stop();
  await server.dispose();
  endEverything();
});

/** A PUBACK of packet 1, without a reason code or with one. */
function hasPuback(received: Buffer): boolean {
  return [0x02, 0x03].some((length) => received.includes(Buffer.from([0x40, length, 0, 1])));
}

interface Peer {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  received: Buffer;
  /** Resolves true once `isSo`, false when the connection ends before. */
  until(isSo: (received: Buffer) => boolean): Promise<boolean>;
}

async function dial(port: number): Promise<Peer> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => undefined);
  const watchers = new Set<() => void>();
  let isClosed = false;
  const peer: Peer = {
    socket,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    received: Buffer.alloc(0),
    until: (isSo) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!isClosed && !isSo(peer.received)) return;
          watchers.delete(look);
          resolve(isSo(peer.received));
        };
        watchers.add(look);
        look();
      }),
  };
  socket.on('data', (chunk: Buffer) => {
    peer.received = Buffer.concat([peer.received, chunk]);
    for (const look of watchers) look();
  });
  void peer.closed.then(() => {
    isClosed = true;
    for (const look of watchers) look();
  });
  await once(socket, 'connect');
  return peer;
}

/** Writes one piece after the other, as fast as they are taken, until the other side has had enough. */
async function send(
  peer: Peer,
  count: number,
  pieceAt: (at: number) => Buffer,
  isOneByOne = false,
): Promise<number> {
  const atOnce = isOneByOne ? 100 : 1_000;
  let sent = 0;
  while (sent < count && peer.socket.writable) {
    const some = Array.from({ length: Math.min(atOnce, count - sent) }, (_, at) => pieceAt(sent + at));
    sent += some.length;
    let isRoom = true;
    if (isOneByOne) for (const piece of some) isRoom = peer.socket.write(piece);
    else isRoom = peer.socket.write(Buffer.concat(some));
    if (isRoom) await new Promise(setImmediate);
    else await Promise.race([once(peer.socket, 'drain').catch(() => undefined), peer.closed]);
  }
  return sent;
}

/** Of a WebSocket on `path`, after 101. */
async function webSocket(path: string, protocol?: string): Promise<Peer> {
  const peer = await dial(server.port);
  peer.socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer ${token}\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
      `${protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
  );
  expect(await peer.until((bytes) => bytes.includes('\r\n\r\n'))).toBe(true);
  expect(peer.received.toString('latin1')).toMatch(/^HTTP\/1.1 101/);
  peer.received = Buffer.alloc(0);
  return peer;
}

const tcp = (url: string): Promise<Peer> => dial(Number(new URL(url).port));
const byte = Buffer.from('x');
const body = Buffer.alloc(payloadBytes, 'x');

const stompConnect = (): Buffer =>
  Buffer.from(`CONNECT\naccept-version:1.2\nhost:x\npasscode:${token}\n\n\0`);
const stompSend = Buffer.concat([Buffer.from('SEND\ndestination:tiny\nreceipt:r\n\n'), body, Buffer.of(0)]);

/** PUBLISH at QoS 1 to "tiny", MQTT 5. */
function mqttPublish(): Buffer {
  const rest = Buffer.concat([Buffer.from([0, 4]), Buffer.from('tiny'), Buffer.from([0, 1, 0]), body]);
  const length = [rest.length & 0x7f, (rest.length >> 7) & 0x7f, rest.length >> 14];
  return Buffer.concat([Buffer.from([0x32, length[0]! | 0x80, length[1]! | 0x80, length[2]!]), rest]);
}

interface Case {
  readonly what: string;
  /** Resolves with what became of it. */
  readonly run: () => Promise<string>;
}

const cutShort = 'closed';
const taken = 'taken';

async function continuations(path: string, protocol?: string): Promise<string> {
  const peer = await webSocket(path, protocol);
  await send(peer, pieces, (at) => clientFrame({ opcode: at === 0 ? 2 : 0, payload: byte, fin: false }));
  peer.socket.end();
  await peer.closed;
  return cutShort;
}

async function outcome(peer: Peer, yes: (received: Buffer) => boolean): Promise<string> {
  const isTaken = await peer.until(yes);
  peer.socket.destroy();
  return isTaken ? taken : cutShort;
}

const cases: readonly Case[] = [
  ...[
    ['/ws', 'everywire.v1'],
    ['/channels/tiny', undefined],
    ['/mqtt', 'mqtt'],
    ['/stomp', 'v12.stomp'],
    ['/socket.io/?EIO=4&transport=websocket', undefined],
  ].map(([path, protocol]) => ({
    what: `a WebSocket message at ${path!} in frames of a byte that has no end`,
    run: () => continuations(path!, protocol),
  })),
  {
    what: 'a body of HTTP in chunks of a byte',
    run: async () => {
      const peer = await dial(server.port);
      peer.socket.write(
        `POST /channels/tiny HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      const chunk = Buffer.from('1\r\nx\r\n');
      await send(peer, payloadBytes, () => chunk);
      peer.socket.write('0\r\n\r\n');
      return outcome(peer, (received) => received.includes('HTTP/1.1 201'));
    },
  },
  {
    what: 'a body of HTTP in chunks of a byte that has no end',
    run: async () => {
      const peer = await dial(server.port);
      peer.socket.write(
        `POST /channels/tiny HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      const chunk = Buffer.from('1\r\nx\r\n');
      await send(peer, pieces, () => chunk);
      await peer.until((received) => received.includes('HTTP/1.1 413'));
      peer.socket.destroy();
      return peer.received.includes('HTTP/1.1 413') ? cutShort : taken;
    },
  },
  {
    what: 'a STOMP frame over TCP in writes of a byte',
    run: async () => {
      const peer = await tcp(server.stomp!);
      peer.socket.write(stompConnect());
      await peer.until((received) => received.includes('CONNECTED'));
      await send(peer, stompSend.length, (at) => stompSend.subarray(at, at + 1), true);
      return outcome(peer, (received) => received.includes('RECEIPT'));
    },
  },
  {
    what: 'a STOMP frame in WebSocket messages of a byte',
    run: async () => {
      const peer = await webSocket('/stomp', 'v12.stomp');
      peer.socket.write(clientFrame({ opcode: 1, payload: stompConnect() }));
      await peer.until((received) => received.includes('CONNECTED'));
      await send(peer, stompSend.length, (at) =>
        clientFrame({ opcode: 2, payload: stompSend.subarray(at, at + 1) }),
      );
      return outcome(peer, (received) => received.includes('RECEIPT'));
    },
  },
  {
    what: 'an MQTT packet over TCP in writes of a byte',
    run: async () => {
      const peer = await tcp(server.mqtt!);
      peer.socket.write(mqttConnect(token));
      await peer.until((received) => received[0] === 0x20);
      const packet = mqttPublish();
      peer.received = Buffer.alloc(0);
      await send(peer, packet.length, (at) => packet.subarray(at, at + 1), true);
      return outcome(peer, hasPuback);
    },
  },
  {
    what: 'an MQTT packet in WebSocket messages of a byte',
    run: async () => {
      const peer = await webSocket('/mqtt', 'mqtt');
      peer.socket.write(clientFrame({ opcode: 2, payload: mqttConnect(token) }));
      await peer.until((received) => received[2] === 0x20);
      const packet = mqttPublish();
      peer.received = Buffer.alloc(0);
      await send(peer, packet.length, (at) =>
        clientFrame({ opcode: 2, payload: packet.subarray(at, at + 1) }),
      );
      return outcome(peer, hasPuback);
    },
  },
  {
    what: 'a gRPC message in DATA frames of a byte',
    run: async () => {
      const peer = await dial(Number(server.grpc!.split(':')[1]));
      const fields = [
        ...callHead('/everywire.v1.Messaging/Publish'),
        ['authorization', `Bearer ${token}`] as const,
      ];
      // PublishRequest: channel (1) and data (2).
      const message = grpcMessage(Buffer.concat([Buffer.from([0x0a, 4]), Buffer.from('tiny'), dataField()]));
      peer.socket.write(
        Buffer.concat([
          preface,
          ourSettings,
          frame(types.headers, flags.endHeaders, 1, encodeFields(fields)),
        ]),
      );
      await send(peer, message.length, (at) =>
        data(1, message.subarray(at, at + 1), at + 1 === message.length ? flags.endStream : 0),
      );
      // The trailers are the last frame of the stream; as literals they hold the name of the status.
      return outcome(peer, (received) => hasEndOfStream(received));
    },
  },
];

/** Field 2 of PublishRequest, bytes. */
function dataField(): Buffer {
  return Buffer.concat([
    Buffer.from([0x12, (body.length & 0x7f) | 0x80, ((body.length >> 7) & 0x7f) | 0x80, body.length >> 14]),
    body,
  ]);
}

function hasEndOfStream(received: Buffer): boolean {
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    const isEnd = (received[at + 4]! & flags.endStream) !== 0;
    if (received[at + 3] === types.headers && isEnd) return true;
  }
  return false;
}

describe('the smallest pieces', () => {
  it.each(cases)('of $what cost no more than they should', async ({ what, run }) => {
    const pid = server.child.pid!;
    const [cpuBefore, mibBefore] = [cpuMs(pid), residentMib(pid)];
    good.p99Ms();
    const became = await run();
    const figures = { what, became, spentMs: cpuMs(pid) - cpuBefore, grownMib: residentMib(pid) - mibBefore };
    console.info(JSON.stringify({ ...figures, p99Ms: good.p99Ms() }));
    expect(became).toBe(what.includes('no end') ? cutShort : taken);
    expect(figures.spentMs).toBeLessThan(cpuMsMax);
    expect(figures.grownMib).toBeLessThan(grownMibMax);
    expect(good.failures).toBe(0);
  });
});

it('of which all that was allowed is stored whole', async () => {
  const answer = await fetch(`${server.http}/channels/tiny?limit=1`, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
  });
  const { messages } = (await answer.json()) as { readonly messages: readonly { readonly offset: number }[] };
  expect(messages[0]?.offset).toBe(cases.filter(({ what }) => !what.includes('no end')).length);
});

describe('too many and too long header fields', () => {
  const request = (fields: string): string => `GET /livez HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
  const many = (count: number): string => Array.from({ length: count }, (_, at) => `X-${at}: a\r\n`).join('');

  it.each([
    ['2,001 fields', request(many(2_001)), 431],
    ['101 fields', request(many(101)), 431],
    ['a field of 17 KiB', request(`X: ${'a'.repeat(17 * 1024)}\r\n`), 431],
    ['4,000 cookies', request('Cookie: a=b\r\n'.repeat(4_000)), 431],
    ['a target of 17 KiB', `GET /${'a'.repeat(17 * 1024)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431],
    [
      'fields named after what objects have',
      request('__proto__: x\r\nconstructor: x\r\ntoString: x\r\nhasOwnProperty: x\r\n'),
      200,
    ],
  ])('%s: %#', async (_what, text, status) => {
    const peer = await dial(server.port);
    peer.socket.write(text);
    expect(await peer.until((received) => received.includes('\r\n\r\n'))).toBe(true);
    expect(Number(peer.received.toString('latin1', 9, 12))).toBe(status);
    peer.socket.destroy();
  });
});
