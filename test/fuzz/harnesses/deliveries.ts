import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { createParser } from 'eventsource-parser';
import { Decoder, type Packet } from 'socket.io-parser';
import { checkChannel } from '@everywire/protocol';
import { SubscribeResponseSchema } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { MessageReader } from '@everywire/wires/grpc';
import { clientReader } from '@everywire/wires/mqtt';
import { FrameReader, versions } from '@everywire/wires/stomp';
import { shapeOf } from '../../../packages/server/src/core/log/media.ts';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { envelopeJson } from '../../../packages/server/src/core/log/envelope.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { Message } from '../../../packages/server/src/core/log/message.ts';
import type { WireFormat } from '../../../packages/server/src/core/log/batch.ts';
import { subscribeFormat } from '../../../packages/server/src/transports/grpc/format.ts';
import { fillPacketIds, publishFormat } from '../../../packages/server/src/transports/mqtt/format.ts';
import { pollFormat } from '../../../packages/server/src/transports/poll/format.ts';
import { deliveriesOf } from '../../../packages/server/src/transports/socketio/format.ts';
import { sseEnvelope, sseRaw } from '../../../packages/server/src/transports/sse/format.ts';
import { messageFormat as stompFormat } from '../../../packages/server/src/transports/stomp/format.ts';
import { ndjson } from '../../../packages/server/src/transports/stream/format.ts';
import { deliveryFormats, deliveryOf } from '../../../packages/server/src/transports/webhook/format.ts';
import { messageFormat, rawFormat } from '../../../packages/server/src/transports/websocket/format.ts';
import type { Harness } from '../harness.ts';
import { Pieces, pieces, takenOrRefused } from '../tools.ts';

const stamp = { id: '01JD0000000000000000000000', nowMs: 1_800_000_000_000 };
const place = { epoch: 'k3f9q2', seq: 7, offset: 3, tag: '9f3c0d4e5a6b7c8d' };
const recordSeparator = '\x1e';

/** Any valid message of any publisher: channel, type, event, subject, headers, payload. The harness writes it on every wire. */
export const harness: Harness = {
  name: 'deliveries',
  inputBytesMax: 500,
  runsInCi: 3_000,
  seeds: [
    pieces(
      ['chat/room-1', 'application/json', 'greeting', 'user-1', 1, 'lang', 'ko'],
      '{"text":"hi",\r\n"n":1}',
    ),
    pieces(['a', 'text/plain; charset=utf-8', '', '', 0], 'one\rtwo\r\nthree\n\nid: 1\n\ndata: x\n\n'),
    pieces(['a', 'application/octet-stream', '', '', 0], Buffer.from([0, 1, 0xff, 0xfe, 0x0a, 0])),
    pieces(
      ['é/ /x', 'text/plain', 'disconnect', '', 2, '__proto__', 'x', 'content-length', '5'],
      '\u0000\nSEND\n\n\u0000',
    ),
    pieces(['a', 'text/xml', 'message', '', 2, 'ce-id', '1', 'ce-source', '/s'], '\ufeff<x/>'),
    pieces(['a', 'application/json', 'everywire.gap', '', 0], '"\u2028\u2029\u0085"'),
    pieces(['a', 'text/plain', '', '', 3, 'a:b', 'c\\d', 'ACK', 'x', ' e ', ' f '], '[object Object]'),
    pieces(['a', 'x/y+json', '', '', 0], ' [1, 1e400 , {"_placeholder":true,"num":0}] '),
  ],
  dictionary: [
    '\r\n',
    '\ndata: ',
    '\n\n',
    'id: ',
    '__proto__',
    '\u2028',
    '\u0000',
    'application/json',
    'text/plain',
    'ce-',
    '{"_placeholder":true,"num":0}',
  ],
  run: (input) => {
    const message = messageOf(input);
    if (message === undefined) return false;
    checkEnvelopes(message);
    checkEvents(message);
    checkWebSocket(message);
    checkSocketIo(message);
    checkStomp(message);
    checkMqtt(message);
    checkGrpc(message);
    checkWebhook(message);
    return true;
  },
};

function messageOf(input: Buffer): Message | undefined {
  const fields = new Pieces(input);
  const channel = fields.text();
  const type = fields.text();
  const event = fields.optionalText();
  const from = fields.optionalText();
  // `from` is the subject of a token, and a subject has no control characters.
  if (from !== undefined && /[\u0000-\u001f\u007f-\u009f]/.test(from)) return undefined;
  const headers = new Map<string, string>();
  for (let count = fields.byte() % 8; count > 0; count -= 1) headers.set(fields.text(), fields.text());
  const given = { type, event, headers, payload: Buffer.from(fields.rest()) };
  const draft = takenOrRefused(() => {
    checkChannel(channel, defaultLimits);
    return checkDraft(given, { ...stamp, from }, defaultLimits);
  });
  return draft && new Message(channel, place, draft);
}

interface Read {
  readonly channel: unknown;
  readonly event?: unknown;
  readonly type: unknown;
  readonly data?: unknown;
  readonly base64?: unknown;
  readonly headers?: unknown;
  readonly from?: unknown;
}

function checkRead(message: Message, read: Read): void {
  assert.equal(read.channel, message.channel);
  assert.equal(read.event, message.event);
  assert.equal(read.type, message.type);
  assert.equal(read.from, message.from);
  assert.deepEqual(headersOf(read.headers), sorted([...(message.headers ?? [])]));
  const text = message.payload.toString();
  switch (shapeOf(message)) {
    case 'json': {
      assert.deepEqual(read.data, JSON.parse(text === '' ? 'null' : text));
      return;
    }
    case 'text': {
      assert.equal(read.data, text);
      return;
    }
    case 'binary': {
      assert.equal(read.base64, message.payload.toString('base64'));
      return;
    }
  }
}

const sorted = (pairs: readonly (readonly [string, unknown])[]) =>
  [...pairs].sort(([left], [right]) => (left < right ? -1 : 1));
const headersOf = (headers: unknown) => sorted(Object.entries((headers as object | undefined) ?? {}));
const parse = (text: string): Read => JSON.parse(text) as Read;
const encode = (message: Message, format: WireFormat): Buffer => format.encode([message]).bytes;

function checkEnvelopes(message: Message): void {
  checkRead(message, parse(envelopeJson(message)));
  const line = encode(message, ndjson).toString();
  assert.equal(line.indexOf('\n'), line.length - 1, 'an envelope is one line');
  checkRead(message, parse(line));
  const page = JSON.parse(encode(message, pollFormat).toString()) as { readonly messages: readonly Read[] };
  assert.equal(page.messages.length, 1);
  checkRead(message, page.messages[0]!);
}

function checkEvents(message: Message): void {
  for (const format of [sseRaw, sseEnvelope]) {
    const events: {
      readonly id?: string | undefined;
      readonly event?: string | undefined;
      readonly data: string;
    }[] = [];
    createParser({ onEvent: (event) => events.push(event) }).feed(encode(message, format).toString());
    assert.equal(events.length, 1, 'frames out are frames in');
    const { id, event, data } = events[0]!;
    assert.equal(id, message.cursor);
    const isOwn = /^(?:open|error|message|everywire\..*)$/s.test(message.event ?? '');
    assert.equal(event, isOwn ? undefined : message.event);
    if (format === sseRaw && shapeOf(message) !== 'binary') {
      const text = message.payload.toString().replace(/\r\n|\r/g, '\n');
      assert.equal(data, shapeOf(message) === 'json' && text === '' ? 'null' : text);
    } else {
      checkRead(message, parse(data));
    }
  }
}

/** Frames of a server: unmasked, whole. */
function framesOf(bytes: Buffer): { readonly opcode: number; readonly payload: Buffer }[] {
  const frames = [];
  for (let at = 0; at < bytes.length;) {
    assert.equal(bytes[at]! & 0xf0, 0x80);
    const opcode = bytes[at]! & 0x0f;
    let length = bytes[at + 1]!;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    }
    frames.push({ opcode, payload: bytes.subarray(at, at + length) });
    at += length;
    assert.ok(at <= bytes.length);
  }
  return frames;
}

function checkWebSocket(message: Message): void {
  const [raw, ...more] = framesOf(encode(message, rawFormat));
  assert.deepEqual(more, []);
  assert.equal(raw!.opcode, shapeOf(message) === 'binary' ? 2 : 1);
  assert.deepEqual(raw!.payload, message.payload);
  const [enveloped, ...others] = framesOf(encode(message, messageFormat));
  assert.deepEqual(others, []);
  checkRead(message, parse(enveloped!.payload.toString()));
}

function checkSocketIo(message: Message): void {
  const { websocket, polling } = deliveriesOf('/chat');
  const frames = framesOf(encode(message, websocket)).map(({ opcode, payload }) =>
    opcode === 1 ? payload.toString() : Buffer.from(payload),
  );
  const polled = encode(message, polling).toString().split(recordSeparator);
  assert.equal(polled.pop(), '', 'each packet ends in the separator, and none has it inside');
  for (const packets of [
    frames,
    polled.map((one) => (one.startsWith('b') ? Buffer.from(one.slice(1), 'base64') : one)),
  ]) {
    const read: Packet[] = [];
    const decoder = new Decoder();
    decoder.on('decoded', (packet: Packet) => read.push(packet));
    for (const one of packets) decoder.add(typeof one === 'string' ? one.slice(1) : one);
    assert.equal(read.length, 1);
    const { nsp, data } = read[0]! as { readonly nsp: string; readonly data: readonly unknown[] };
    assert.equal(nsp, '/chat');
    const [name, given, meta, cursor, ...more] = data;
    assert.deepEqual(more, []);
    assert.ok(name === message.event || name === 'message');
    assert.equal(cursor, message.cursor);
    const isBinary = Buffer.isBuffer(given);
    assert.equal(isBinary, shapeOf(message) === 'binary');
    checkRead(message, {
      ...(meta as Read),
      ...(isBinary ? { base64: given.toString('base64') } : { data: given }),
    });
  }
}

function checkStomp(message: Message): void {
  for (const version of versions) {
    const format = stompFormat({
      version,
      link: 'tcp',
      spelling: { strip: '', put: '/' },
      id: '0',
      hasAck: version === '1.2',
      isRedelivery: false,
    });
    const wide = {
      headBytesMax: 20_000,
      headersMax: 64,
      lineBytesMax: 10_000,
      commandBytesMax: 32,
      bodyBytesMax: 100_000,
    };
    const reader = new FrameReader(wide);
    reader.version = version;
    reader.push(encode(message, format));
    const read = reader.next();
    assert.equal(reader.next(), undefined, 'frames out are frames in');
    assert.equal(reader.isInFrame, false);
    assert.ok(read?.kind === 'frame', 'a subscriber of STOMP can read it');
    assert.equal(read.frame.command, 'MESSAGE');
    assert.deepEqual(read.frame.body, message.payload);
    const { headers } = read.frame;
    assert.equal(headers.get('message-id'), message.cursor);
    assert.equal(headers.get('content-length'), String(message.payload.length));
    const spelled = `/${message.channel}`;
    // 1.0 takes white space at the ends of a value away.
    assert.equal(headers.get('destination'), version === '1.0' ? spelled.trim() : spelled);
    if (version === '1.2') {
      assert.equal(headers.get('event'), message.event);
      assert.equal(headers.get('content-type'), message.type);
    }
  }
}

function checkMqtt(message: Message): void {
  for (const version of [4, 5] as const) {
    const format = publishFormat({
      version,
      link: 'tcp',
      qos: 1,
      retain: 'clear',
      dup: false,
      withCursor: version === 5,
      subscriptionIdentifiers: version === 5 ? [5] : [],
      nowMs: undefined,
    });
    const encoded = format.encode([message]);
    const reader = clientReader(version, { packetBytesMax: 100_000 });
    reader.push(fillPacketIds(encoded, [1]));
    const read = reader.next();
    assert.equal(reader.next(), undefined, 'packets out are packets in');
    assert.equal(reader.pendingBytes, 0);
    assert.ok(read?.type === 'publish', 'a subscriber of MQTT can read it');
    assert.equal(read.topic, message.channel);
    assert.deepEqual(read.payload, message.payload);
    if (version === 5) {
      assert.equal(read.properties.contentType, message.type);
      assert.deepEqual(read.properties.userProperties?.slice(0, message.headers?.size ?? 0), [
        ...(message.headers ?? []),
      ]);
    }
  }
}

function checkGrpc(message: Message): void {
  const reader = new MessageReader(100_000);
  reader.push(encode(message, subscribeFormat));
  const { kind } = fromBinary(SubscribeResponseSchema, reader.next()!);
  assert.equal(reader.isWithinMessage, false);
  assert.ok(kind.case === 'message');
  const { channel, offset, cursor, id, type, event, data, headers, from } = kind.value;
  assert.deepEqual(
    { channel, offset, cursor, id, type },
    {
      channel: message.channel,
      offset: BigInt(message.offset),
      cursor: message.cursor,
      id: message.id,
      type: message.type,
    },
  );
  assert.equal(event, message.event ?? '');
  assert.equal(from, message.from ?? '');
  assert.deepEqual(Buffer.from(data), message.payload);
  assert.deepEqual(headersOf(headers), sorted([...(message.headers ?? [])]));
}

function checkWebhook(message: Message): void {
  for (const format of deliveryFormats) {
    const { headers, body } = deliveryOf(message, format);
    if (format === 'cloudevents-binary') assert.deepEqual(body, message.payload);
    else if (format === 'envelope') checkRead(message, parse(body.toString()));
    else {
      const event = JSON.parse(body.toString()) as Record<string, unknown>;
      assert.equal(event['specversion'], '1.0');
      assert.equal(event['everywirecursor'], message.cursor);
      assert.equal(event['datacontenttype'], message.type);
      assert.equal('data' in event, shapeOf(message) !== 'binary');
      if (shapeOf(message) === 'text') assert.equal(event['data'], message.payload.toString());
    }
    for (const [name, value] of Object.entries(headers)) {
      assert.match(name, /^[A-Za-z0-9-]+$/);
      // What Node refuses to send would hold up the endpoint for ever.
      assert.doesNotMatch(value, /[^\t\x20-\x7e\x80-\xff]/, 'a field is one that can be sent');
    }
  }
}
