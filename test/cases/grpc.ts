import { create, toBinary } from '@bufbuild/protobuf';
import {
  PublishRequestSchema,
  SubscribeRequestSchema,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { messageBytesMax } from '../../packages/server/src/core/message-bounds.ts';
import { encodeFields, type Field } from '../clients/grpc/hpack.ts';
import {
  callHead,
  codes,
  data,
  flags,
  frame,
  grpcMessage,
  head,
  types,
  type Outcome,
} from '../clients/grpc/http2-peer.ts';

/** BAD-INPUT section 9, on a connection whose SETTINGS were exchanged. */
export interface GrpcCase {
  /** Section, row, input. */
  readonly id: string;
  readonly what: string;
  /** What is written, with `channel` to publish to or to follow, on stream 1. */
  readonly send: (channel: string) => Buffer;
  /** What becomes of stream 1. */
  readonly expect: Partial<Omit<Outcome, 'fields' | 'data'>>;
  /** What the head or the trailers have. */
  readonly fields?: Readonly<Record<string, string>>;
  /** HTTP/2 calls it an error of the connection. */
  readonly isFatal?: true;
}

export const paths = {
  publish: '/everywire.v1.Messaging/Publish',
  subscribe: '/everywire.v1.Messaging/Subscribe',
  stream: '/everywire.v1.Messaging/Stream',
};

const { endStream, endHeaders } = flags;
const one = 1;

export function publishMessage(channel: string): Buffer {
  return Buffer.from(
    toBinary(PublishRequestSchema, create(PublishRequestSchema, { channel, data: Buffer.from('x') })),
  );
}

export function subscribeMessage(channel: string): Buffer {
  return Buffer.from(
    toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { channels: [channel] })),
  );
}

/** A whole Publish, whose head is what is wrong with it. */
function withHead(change: (fields: Field[]) => Field[], path = paths.publish): GrpcCase['send'] {
  return (channel) =>
    Buffer.concat([
      head(one, change(callHead(path))),
      data(one, grpcMessage(publishMessage(channel)), endStream),
    ]);
}

const replace =
  (name: string, value: string | undefined) =>
  (fields: Field[]): Field[] =>
    fields.flatMap((field): Field[] =>
      field[0] !== name ? [field] : value === undefined ? [] : [[name, value]],
    );
const add =
  (...more: readonly Field[]) =>
  (fields: Field[]): Field[] => [...fields, ...more];

/** A Publish whose bytes behind the head are what is wrong with it. */
function withBody(...parts: readonly ((channel: string) => Buffer)[]): GrpcCase['send'] {
  return (channel) =>
    Buffer.concat([
      head(one, callHead(paths.publish)),
      ...parts.map((part, at) => data(one, part(channel), at === parts.length - 1 ? endStream : 0)),
    ]);
}

const flagged = (flag: number) => (channel: string) => grpcMessage(publishMessage(channel), { flag });
const bytes = (hex: string) => () => grpcMessage(Buffer.from(hex, 'hex'));
const announced = (length: number) => () => grpcMessage(Buffer.alloc(0), { length });
const groups = 5_000;
/** Begin and end of a group with field number 15, one in the other. */
const deepGroups = Buffer.concat([Buffer.alloc(groups, 0x7b), Buffer.alloc(groups, 0x7c)]);
/** `headers` with the key `__proto__`, as `map<string, string>` has it. */
const protoKey = Buffer.from([0x2a, 14, 0x0a, 9, ...Buffer.from('__proto__'), 0x12, 1, 0x78]);

const status = (grpcStatus: number) => ({ status: 200, grpcStatus }) as const;
const goaway = (code: number) => ({ goaway: code, isClosed: true }) as const;
const raw =
  (...parts: readonly Buffer[]) =>
  () =>
    Buffer.concat(parts);
const follow = (flag: number = endHeaders): Buffer => head(one, callHead(paths.subscribe), flag);

type Row = Omit<GrpcCase, 'id'>;
const rows = (row: number, inputs: readonly Row[]): readonly GrpcCase[] =>
  inputs.map((input, at) => ({ id: `9.${row}.${at + 1}`, ...input }));
const fatal = (inputs: readonly (readonly [what: string, code: number, ...parts: Buffer[]])[]): Row[] =>
  inputs.map(([what, code, ...parts]) => ({
    what,
    send: raw(...parts),
    expect: goaway(code),
    isFatal: true,
  }));

export const cases: readonly GrpcCase[] = [
  ...rows(1, [
    ...[
      'application/json',
      'text/plain',
      '',
      'application/grpcx',
      'application/grpc-web+proto',
      'application/connect+proto',
      'application/proto',
      'application/grpc+thrift',
    ].map((type) => ({
      what: `content-type: ${type}`,
      send: withHead(replace('content-type', type)),
      expect: { status: 415 },
    })),
    { what: 'no content-type', send: withHead(replace('content-type', undefined)), expect: { status: 415 } },
    {
      what: 'PUT',
      send: withHead(replace(':method', 'PUT')),
      expect: { status: 405 },
      fields: { allow: 'POST' },
    },
  ]),
  ...rows(2, [
    ...['/everywire.v1.Messaging/Explode', '/everywire.v2.Messaging/Publish', '/Publish'].map((path) => ({
      what: `the unknown method ${path}`,
      send: withHead(replace(':path', path)),
      expect: status(12),
    })),
    {
      what: 'two requests of Publish',
      send: withBody(flagged(0), flagged(0)),
      expect: status(12),
    },
    { what: 'no request of Publish', send: withBody(() => Buffer.alloc(0)), expect: status(12) },
    {
      what: 'no request of Subscribe',
      send: raw(follow(endHeaders | endStream)),
      expect: status(12),
    },
    {
      what: 'two requests of Subscribe',
      send: (channel) =>
        Buffer.concat([
          follow(),
          data(one, grpcMessage(subscribeMessage(channel))),
          data(one, grpcMessage(subscribeMessage(channel)), endStream),
        ]),
      expect: status(12),
    },
    ...['br', 'gzip', 'GZIP', ''].map((encoding) => ({
      what: `grpc-encoding: ${encoding}`,
      send: withHead(add(['grpc-encoding', encoding])),
      expect: status(12),
      fields: { 'grpc-accept-encoding': 'identity' },
    })),
  ]),
  ...rows(3, [
    { what: 'bytes that are no protobuf', send: withBody(bytes('ffffffff')), expect: status(13) },
    { what: 'a field that is longer than the message', send: withBody(bytes('0a05')), expect: status(13) },
    { what: 'text that is not UTF-8', send: withBody(bytes('0a02fffe')), expect: status(13) },
    { what: 'a lone surrogate in text', send: withBody(bytes('0a03eda080')), expect: status(13) },
    { what: 'flag 1 without an encoding', send: withBody(flagged(1)), expect: status(13) },
    { what: 'flag 2', send: withBody(flagged(2)), expect: status(13) },
    {
      what: 'flag 128, which is that of trailers in gRPC-Web',
      send: withBody(flagged(0x80)),
      expect: status(13),
    },
  ]),
  ...rows(4, [
    {
      what: 'one byte over the limit, announced',
      send: withBody(announced(messageBytesMax(defaultLimits, 'bytes') + 1)),
      expect: status(8),
    },
  ]),
  ...rows(5, [
    { what: 'length 0xFFFFFFFF', send: withBody(announced(0xffff_ffff)), expect: status(8) },
    {
      what: 'length 0xFFFFFFFF, and the call continues',
      send: raw(head(one, callHead(paths.publish)), data(one, announced(0xffff_ffff)())),
      expect: status(8),
    },
    { what: 'the end within a message', send: withBody(announced(10)), expect: status(13) },
    {
      what: 'the end within the prefix of a message',
      send: withBody(() => Buffer.alloc(3)),
      expect: status(13),
    },
    {
      what: 'a window that overflows',
      send: raw(frame(types.windowUpdate, 0, 0, Buffer.from('7fffffff', 'hex'))),
      expect: goaway(codes.flowControl),
      isFatal: true,
    },
  ]),
  ...rows(6, [
    { what: 'grpc-timeout: 0S', send: withHead(add(['grpc-timeout', '0S'])), expect: status(4) },
    ...['123456789H', '-1m', '1x', '1', 'S', '', '1.5S', '1 S'].map((timeout) => ({
      what: `grpc-timeout: ${timeout}`,
      send: withHead(add(['grpc-timeout', timeout])),
      expect: status(13),
    })),
    {
      what: 'a deadline in 11,000 years',
      send: withHead(add(['grpc-timeout', '99999999H'])),
      expect: status(0),
    },
    {
      what: 'a Publish that never comes, and its deadline',
      send: raw(head(one, callHead(paths.publish, ['grpc-timeout', '20m']))),
      expect: status(4),
    },
  ]),
  ...rows(8, [
    {
      what: 'an invalid cursor',
      send: (channel) =>
        Buffer.concat([
          follow(),
          data(
            one,
            grpcMessage(Buffer.concat([subscribeMessage(channel), Buffer.from('120101', 'hex')])),
            endStream,
          ),
        ]),
      expect: status(3),
    },
  ]),
  ...rows(9, [
    { what: 'no te', send: withHead(replace('te', undefined)), expect: status(3) },
    ...['', '*', 'x', 'http://[', '/a b\u0000'].map((path) => ({
      what: `:path ${JSON.stringify(path)}`,
      send: withHead(replace(':path', path)),
      expect: { reset: codes.protocol },
    })),
    ...[
      '/',
      '//',
      `${paths.publish}/`,
      `${paths.publish}?x=1`,
      `/${'a'.repeat(8_000)}`,
      '/%50',
      '/__proto__',
    ].map((path) => ({
      what: `:path ${path.slice(0, 40)}`,
      send: withHead(replace(':path', path)),
      expect: status(12),
    })),
    { what: 'no :path', send: withHead(replace(':path', undefined)), expect: { reset: codes.protocol } },
    { what: 'an upper-case header', send: withHead(add(['Upper', 'x'])), expect: { reset: codes.protocol } },
    { what: 'connection', send: withHead(add(['connection', 'close'])), expect: { reset: codes.protocol } },
    { what: 'bad base64', send: withHead(add(['x-bin', '!!!'])), expect: status(3) },
  ]),
  ...rows(10, [
    {
      what: `${groups} groups, one in the other`,
      send: (channel) =>
        Buffer.concat([
          head(one, callHead(paths.publish)),
          data(one, grpcMessage(Buffer.concat([publishMessage(channel), deepGroups])), endStream),
        ]),
      expect: status(13),
    },
    {
      what: '__proto__ as the key of a map',
      send: (channel) =>
        Buffer.concat([
          head(one, callHead(paths.publish)),
          data(one, grpcMessage(Buffer.concat([publishMessage(channel), protoKey])), endStream),
        ]),
      // A header like any other, or a field that is left out; never another object's prototype.
      expect: status(0),
    },
  ]),
  ...rows(
    11,
    fatal([
      [
        'a SETTINGS ack with a payload',
        codes.frameSize,
        frame(types.settings, flags.ack, 0, Buffer.alloc(6)),
      ],
      ['SETTINGS of five bytes', codes.frameSize, frame(types.settings, 0, 0, Buffer.alloc(5))],
      ['SETTINGS on a stream', codes.protocol, frame(types.settings, 0, one, Buffer.alloc(6))],
      ['WINDOW_UPDATE 0', codes.protocol, frame(types.windowUpdate, 0, 0, Buffer.alloc(4))],
      [
        'WINDOW_UPDATE 0 of a stream',
        codes.protocol,
        follow(),
        frame(types.windowUpdate, 0, one, Buffer.alloc(4)),
      ],
      ['a frame of 16,385 bytes', codes.frameSize, follow(), data(one, Buffer.alloc(16_385))],
      ['PING of seven bytes', codes.frameSize, frame(types.ping, 0, 0, Buffer.alloc(7))],
    ]),
  ),
  ...rows(
    12,
    fatal([
      ['DATA on stream 0', codes.protocol, data(0, Buffer.of(1))],
      ['HEADERS on stream 0', codes.protocol, head(0, callHead(paths.subscribe))],
      ['an even stream', codes.protocol, head(2, callHead(paths.subscribe))],
      ['padding as long as the frame', codes.protocol, follow(), data(one, Buffer.of(2, 0), flags.padded)],
      ['DATA on a stream that is idle', codes.protocol, data(7, Buffer.of(1))],
      ['RST_STREAM of a stream that is idle', codes.protocol, frame(types.rstStream, 0, 9, Buffer.alloc(4))],
      ['PUSH_PROMISE', codes.protocol, frame(5, endHeaders, one, Buffer.alloc(8))],
      ['CONTINUATION alone', codes.protocol, frame(types.continuation, endHeaders, one)],
      ['PING within a header block', codes.protocol, follow(0), frame(types.ping, 0, 0, Buffer.alloc(8))],
    ]),
  ),
  ...rows(
    13,
    fatal([
      ['HEADERS behind the end', codes.streamClosed, follow(endHeaders | endStream), follow()],
      ['DATA behind the end', codes.streamClosed, follow(endHeaders | endStream), data(one, Buffer.of(1))],
      ...(
        [
          ['an index out of range', 'ffffff7f'],
          ['an index of the empty table', 'be'],
          ["Huffman's code for nothing", '0085ffffffffff00'],
          ['a name that is cut off', '0005aa'],
        ] as const
      ).map(
        ([what, block]) =>
          [
            what,
            codes.compression,
            frame(types.headers, endHeaders | endStream, one, Buffer.from(block, 'hex')),
          ] as const,
      ),
    ]),
  ),
  ...rows(14, [
    {
      what: '4,000 crumbs of a cookie, in references of one byte',
      send: raw(
        frame(
          types.headers,
          endHeaders | endStream,
          one,
          Buffer.concat([
            encodeFields(callHead(paths.subscribe)),
            Buffer.from('600161', 'hex'),
            Buffer.alloc(4_000, 0xbe),
          ]),
        ),
      ),
      expect: { reset: codes.calm },
    },
    {
      what: '101 headers',
      send: withHead(add(...Array.from({ length: 101 }, (_, at): Field => [`x${at}`, 'a']))),
      expect: { reset: codes.calm },
    },
    {
      what: '16 KiB of headers',
      send: () => longHead(),
      expect: { reset: codes.calm },
    },
  ]),
];

/** In two frames: more than one may be. */
function longHead(): Buffer {
  const block = encodeFields(callHead(paths.subscribe, ['x', 'a'.repeat(17_000)]));
  return Buffer.concat([
    frame(types.headers, endStream, one, block.subarray(0, 16_000)),
    frame(types.continuation, endHeaders, one, block.subarray(16_000)),
  ]);
}
