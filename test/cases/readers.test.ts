import { EverywireError } from '@everywire/protocol';
import { MessageReader } from '@everywire/wires/grpc';
import { serverReader, type PacketReader } from '@everywire/wires/mqtt';
import { parseIoPacket, parsePacket } from '@everywire/wires/socketio';
import { FrameReader as StompReader, versions, type Version } from '@everywire/wires/stomp';
import { FrameReader as WebSocketReader, type Received } from '@everywire/wires/websocket';
import { afterAll, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { types } from '../clients/grpc/http2-peer.ts';
import { rawConnect } from '../clients/mqtt/raw-packets.ts';
import { clientFrame, textFrame } from '../clients/websocket/client-frames.ts';
import { everyPlaceUpTo, tryEveryCut, type ReadChunks } from './cuts.ts';
import { cases as grpcCases } from './grpc.ts';
import { behind as behindMqtt, cases as mqttCases } from './mqtt.ts';
import { packetCases, type Packet } from './socketio.ts';
import { cases as stompCases } from './stomp.ts';
import { autobahnFraming } from './websocket/autobahn-framing.ts';
import { autobahnUtf8 } from './websocket/autobahn-utf8.ts';
import { commandCases } from './websocket/commands.ts';
import { ping } from './websocket/frame-case.ts';
import { framingCases } from './websocket/framing-cases.ts';

/**
 * Gives every input of the tables, cut at every byte, to the readers of the server without a socket. Other tests send
 * each input whole over a socket, and check the answer of the server.
 */
interface Input {
  readonly what: string;
  readonly bytes: Buffer;
  readonly read: ReadChunks;
}

/** A reader of chunks that may be cut anywhere. */
interface Reader<T> {
  push(chunk: Buffer): void;
  next(): T | undefined;
}

/** All that `make()` says to the chunks. */
function readBy<T>(make: () => Reader<T>, plain: (one: T) => unknown): ReadChunks {
  return (chunks) => {
    const reader = make();
    const said: unknown[] = [];
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let one = reader.next(); one !== undefined; one = reader.next()) said.push(plain(one));
    }
    return said;
  };
}

const { payloadBytesMax, fragmentsMax, headerBytesMax, jsonDepthMax } = defaultLimits;

/**
 * The input, and the input with a valid message behind it, which a reader must not reach after a fault. A long one comes
 * only with the message: without it, it is the beginning of the same bytes.
 */
function withAndWithout(bytes: Buffer, behind: Buffer): readonly (readonly [string, Buffer])[] {
  const longer = [', with a message behind it', Buffer.concat([bytes, behind])] as const;
  return bytes.length > everyPlaceUpTo ? [longer] : [['', bytes], longer];
}

function mqttReader(version: 4 | 5, isFirst: boolean): PacketReader {
  const reader = serverReader({ packetBytesMax: headerBytesMax });
  if (isFirst) return reader;
  reader.push(rawConnect(version));
  if (reader.next()?.type !== 'connect') throw new Error('The reader refuses a valid CONNECT.');
  reader.packetBytesMax = payloadBytesMax + headerBytesMax;
  return reader;
}

const mqttInputs: readonly Input[] = mqttCases.flatMap(({ id, what, version, send, isFirst = false }) =>
  withAndWithout(send, behindMqtt(version, 'behind')).map(([more, bytes]) => ({
    what: `${id} ${what}${more}`,
    bytes,
    read: readBy(
      () => mqttReader(version, isFirst),
      (one) => one,
    ),
  })),
);

function stompReader(version: Version | undefined): StompReader {
  const { stompHeadersMax, stompLineBytesMax, stompCommandBytesMax } = defaultLimits;
  const reader = new StompReader({
    headBytesMax: headerBytesMax,
    headersMax: stompHeadersMax,
    lineBytesMax: stompLineBytesMax,
    commandBytesMax: stompCommandBytesMax,
    bodyBytesMax: payloadBytesMax,
  });
  reader.version = version;
  return reader;
}

const stompInputs: readonly Input[] = stompCases.flatMap(({ id, what, send, isFirst, versions: spoken }) => {
  const behind = Buffer.from('SEND\ndestination:/behind\n\nx\0');
  // The length of a long input does not depend on the version.
  const asked = spoken ?? (send.length > everyPlaceUpTo ? ['1.2'] : versions);
  const all = isFirst === true ? [undefined] : (asked as readonly Version[]);
  return all.flatMap((version) =>
    withAndWithout(Buffer.from(send as string), behind).map(([more, bytes]) => ({
      what: `${id} ${what}, in ${version ?? 'no version yet'}${more}`,
      bytes,
      read: readBy(
        () => stompReader(version),
        (one) =>
          one.kind === 'fault'
            ? [one.code, one.detail, one.receipt]
            : [one.frame.command, [...one.frame.headers], one.frame.body.toString('latin1')],
      ),
    })),
  );
});

const webSocketReader = (): WebSocketReader =>
  new WebSocketReader({ messageBytesMax: payloadBytesMax, fragmentsMax });
const plainMessage = (one: Received): unknown =>
  'payload' in one ? [one.kind, one.payload.toString('latin1')] : [one.kind, one.code, one.reason];

const frameCases = [
  ...autobahnFraming,
  ...autobahnUtf8,
  ...framingCases(payloadBytesMax, fragmentsMax),
  ...commandCases.map(({ what, send }) => ({ id: 'command', what, send: textFrame(send) })),
];
const webSocketInputs: readonly Input[] = frameCases.flatMap(({ id, what, send }) =>
  withAndWithout(send, Buffer.concat([textFrame('behind'), ping('behind')])).map(([more, bytes]) => ({
    what: `${id} ${what}${more}`,
    bytes,
    read: readBy(webSocketReader, plainMessage),
  })),
);

/** The frame of a Socket.IO packet determines its kind. */
function plainPacket(one: Received): unknown {
  if (one.kind !== 'text') return plainMessage(one);
  const packet = parsePacket(one.payload.toString());
  if (packet?.kind !== 'message' || typeof packet.data !== 'string') return packet ?? 'no packet';
  return parseIoPacket(packet.data, { attachmentsMax: 10, jsonDepthMax, nameBytesMax: 255 });
}
const frameOf = (packet: Packet): Buffer =>
  typeof packet === 'string' ? textFrame(packet) : clientFrame({ opcode: 2, payload: packet });
const socketIoInputs: readonly Input[] = packetCases.flatMap(({ what, send }) =>
  withAndWithout(Buffer.concat(send.map(frameOf)), textFrame('42["publish","a","b"]')).map(
    ([more, bytes]) => ({
      what: `${what}${more}`,
      bytes,
      read: readBy(webSocketReader, plainPacket),
    }),
  ),
);

/** What the DATA frames of HTTP/2 carry. The frames themselves are read by Node. */
function dataIn(bytes: Buffer): Buffer {
  const found: Buffer[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (bytes[at + 3] === types.data) found.push(bytes.subarray(at + 9, end));
    at = end;
  }
  return Buffer.concat(found);
}

const readMessages: ReadChunks = (chunks) => {
  const reader = new MessageReader(payloadBytesMax);
  const said: unknown[] = [];
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let one = reader.next(); one !== undefined; one = reader.next()) said.push(one.toString('latin1'));
    }
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    said.push(error.code);
  }
  return said;
};
const grpcInputs: readonly Input[] = grpcCases
  .map(({ id, what, send }) => ({ what: `${id} ${what}`, bytes: dataIn(send('case')), read: readMessages }))
  .filter(({ bytes }) => bytes.length > 0);

const tables: readonly (readonly [wire: string, inputs: readonly Input[]])[] = [
  ['MQTT', mqttInputs],
  ['STOMP', stompInputs],
  ['WebSocket', webSocketInputs],
  ['Socket.IO', socketIoInputs],
  ['gRPC messages', grpcInputs],
];

const counts: Record<string, { inputs: number; cuts: number }> = {};
afterAll(() => console.info(JSON.stringify({ 'inputs and cuts': counts })));

describe.each(tables)('%s', (wire, inputs) => {
  test('says the same of every input, however it is cut', () => {
    expect(inputs.length).toBeGreaterThan(0);
    let cuts = 0;
    const faults = inputs.flatMap(({ what, bytes, read }) => {
      const tried = tryEveryCut(bytes, read);
      cuts += tried.cuts;
      return tried.faults.map((fault) => ({ what, ...fault }));
    });
    counts[wire] = { inputs: inputs.length, cuts };
    expect(faults.slice(0, 10)).toEqual([]);
  });
});
