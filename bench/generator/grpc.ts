import { create, toBinary } from '@bufbuild/protobuf';
import { frameMessage } from '@everywire/wires/grpc';
import { SubscribeRequestSchema } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { DataFrames } from './data-frames.ts';
import type { Handshake, Place } from './handshakes.ts';

/**
 * gRPC as raw HTTP/2 frames (RFC 9113): the preface, a window that never fills, and one call with one request message.
 * `path` is the method, and behind a `#` the channel; a server that sends to everyone is given an empty message.
 */
export const frameTypes = { data: 0, headers: 1, settings: 4, windowUpdate: 8 } as const;
export const flags = { endStream: 1, endHeaders: 4 } as const;
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const windowMax = 2 ** 31 - 1;
const windowDefault = 65_535;
const initialWindowSize = 4;

/** `exact: true` of `Subscribed`, at its end; the peer sends the same bytes as its first message. */
export const subscribedMark = Buffer.from([0x10, 1]);

export function grpcHandshake(place: Place): Handshake {
  const [method, channel] = place.path.split('#') as [string, string?];
  const asked = channel === undefined ? {} : { channels: [channel] };
  const request = toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, asked));
  const frames = new DataFrames();
  return {
    request: Buffer.concat([opening(), call(1, callHeaders(place.host, method), request)]),
    ready: { text: subscribedMark.toString('latin1'), times: 1 },
    content: (bytes) => frames.read(bytes),
  };
}

/** What a connection begins with: the preface, and windows that never fill. */
export function opening(): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(initialWindowSize, 0);
  settings.writeUInt32BE(windowMax, 2);
  const increment = Buffer.alloc(4);
  increment.writeUInt32BE(windowMax - windowDefault, 0);
  return Buffer.concat([
    Buffer.from(preface),
    frame(frameTypes.settings, 0, 0, settings),
    frame(frameTypes.windowUpdate, 0, 0, increment),
  ]);
}

/** The fields of a call of `method`, the same for each call. */
export function callHeaders(host: string, method: string): Buffer {
  return Buffer.concat(
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', method],
      [':authority', host],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ].map(([name, value]) => literal(name!, value!)),
  );
}

/** A call with one request message, on `stream`. */
export function call(stream: number, headers: Buffer, message: Uint8Array): Buffer {
  return Buffer.concat([
    frame(frameTypes.headers, flags.endHeaders, stream, headers),
    frame(frameTypes.data, flags.endStream, stream, frameMessage(message)),
  ]);
}

function frame(type: number, flag: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal field without indexing and without Huffman coding (RFC 7541 §6.2.2). */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}
