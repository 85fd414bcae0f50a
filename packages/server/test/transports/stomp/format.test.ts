import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch } from '../../../src/core/log/batch.ts';
import { Message } from '../../../src/core/log/message.ts';
import { versions, type Frame, FrameReader } from '@everywire/wires/stomp';
import {
  ackId,
  encodeFor,
  encodeOne,
  messageFormat,
  parseAckId,
  type MessageShape,
} from '../../../src/transports/stomp/format.ts';

const shape: MessageShape = {
  version: '1.2',
  link: 'tcp',
  spelling: { put: '/', strip: '' },
  id: 'sub-0',
  hasAck: false,
  isRedelivery: false,
};

const bounds = {
  headBytesMax: 1e6,
  headersMax: 1_000,
  lineBytesMax: 1e6,
  commandBytesMax: 32,
  bodyBytesMax: 1e6,
};

function read(bytes: Buffer, version = shape.version): Frame[] {
  const reader = new FrameReader(bounds);
  reader.version = version;
  reader.push(Buffer.from(bytes));
  const frames: Frame[] = [];
  for (let one = reader.next(); one !== undefined; one = reader.next()) {
    if (one.kind === 'fault') throw new Error(one.detail);
    frames.push(one.frame);
  }
  return frames;
}

function message(seq: number, more: Partial<Message> = {}): Message {
  return new Message(
    more.channel ?? 'topic/a',
    { epoch: 'abc123', seq, offset: seq, tag: '0123456789abcdef' },
    {
      id: `01JD${seq}`,
      timeMs: 1_700_000_000_000 + seq,
      type: more.type ?? 'text/plain',
      payload: more.payload ?? Buffer.from(`payload ${seq}`),
      event: more.event,
      headers: more.headers,
      from: more.from,
    },
  );
}

describe('MESSAGE', () => {
  test('says where and what it is', () => {
    const [frame] = read(
      messageFormat(shape).encode([
        message(7, { event: 'greeting', headers: new Map([['lang', 'ko:KR\\']]), from: 'user-1' }),
      ]).bytes,
    );
    expect(frame!.command).toBe('MESSAGE');
    expect(Object.fromEntries(frame!.headers)).toEqual({
      subscription: 'sub-0',
      destination: '/topic/a',
      'message-id': '1abc123.7.0123456789abcdef',
      'content-type': 'text/plain',
      'content-length': '9',
      offset: '7',
      timestamp: '1700000000007',
      'everywire-id': '01JD7',
      'everywire-from': 'user-1',
      event: 'greeting',
      lang: 'ko:KR\\',
    });
    expect(frame!.body.toString()).toBe('payload 7');
  });

  test('a header of the message that is named like one of the server is not beside it', () => {
    const headers = new Map(
      ['message-id', 'Message-ID', 'SUBSCRIPTION', 'ack', 'Redelivered', 'everywire-gap', 'ok'].map(
        (name) => [name, 'x'],
      ),
    );
    const [frame] = read(messageFormat(shape).encode([message(1, { headers })]).bytes);
    expect([...frame!.headers.keys()].filter((name) => frame!.headers.get(name) === 'x')).toEqual(['ok']);
  });

  test('carries what any wire may have published, in every version, and nothing breaks out', () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 }).filter((one) => one.isWellFormed());
    fc.assert(
      fc.property(
        fc.constantFrom(...versions),
        fc.array(fc.tuple(text, text), { maxLength: 5 }),
        fc.uint8Array({ maxLength: 100 }),
        (version, headers, payload) => {
          const given = message(1, { headers: new Map(headers), payload: Buffer.from(payload) });
          const frames = read(messageFormat({ ...shape, version }).encode([given]).bytes, version);
          expect(frames).toHaveLength(1);
          expect(frames[0]!.body.equals(given.payload)).toBe(true);
          expect(frames[0]!.headers.get('message-id')).toBe(given.cursor);
        },
      ),
    );
  });

  test('is encoded once for all subscriptions with the same id, and its slices are parts of the same bytes', () => {
    const batch = new Batch([message(1), message(2), message(3)]);
    const { bytes } = batch.as(messageFormat(shape));
    expect(batch.as(messageFormat({ ...shape })).bytes).toBe(bytes);
    const rest = batch.since(1)!.as(messageFormat(shape)).bytes;
    expect(rest.buffer).toBe(bytes.buffer);
    expect(read(rest).map(({ headers }) => headers.get('offset'))).toEqual(['2', '3']);
  });

  test('different shapes never share bytes', () => {
    const different: readonly Partial<MessageShape>[] = [
      {},
      { version: '1.1' },
      { link: 'websocket' },
      { spelling: { put: '/channels/', strip: '' } },
      { spelling: { put: '/user/', strip: 'user/a/' } },
      { id: 'sub-1' },
      { id: undefined },
      { hasAck: true },
      { isRedelivery: true },
    ];
    const ids = different.map((more) => messageFormat({ ...shape, ...more }).id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('for one subscriber, its bytes are those of the shared format', () => {
    for (const link of ['tcp', 'websocket'] as const) {
      for (const hasAck of [false, true]) {
        const one = { ...shape, link, hasAck };
        const batch = new Batch([
          message(1),
          message(2, { payload: Buffer.from([0, 255]), type: 'image/png' }),
        ]);
        expect(encodeFor(batch, one).equals(messageFormat(one).encode(batch.messages).bytes)).toBe(true);
      }
    }
  });

  test('gives back the spelling of the subscriber', () => {
    const spelled = (channel: string, spelling: MessageShape['spelling']) =>
      read(messageFormat({ ...shape, spelling }).encode([message(1, { channel })]).bytes)[0]!.headers.get(
        'destination',
      );
    expect(spelled('x', { put: '/channels/', strip: '' })).toBe('/channels/x');
    expect(spelled('user/ann/q', { put: '/user/', strip: 'user/ann/' })).toBe('/user/q');
    expect(spelled('x/y', { put: '', strip: '' })).toBe('x/y');
    expect(spelled('/x', { put: '/', strip: '' })).toBe('//x');
  });

  test('1.2 names in ack what ACK gives back: the message, and the subscription with any name', () => {
    const id = 'a/b:c\\';
    const [frame] = read(messageFormat({ ...shape, id, hasAck: true }).encode([message(5)]).bytes);
    expect(parseAckId(frame!.headers.get('ack')!)).toEqual({ cursor: message(5).cursor, id });
    expect(ackId('c', id)).toBe('c/a/b:c\\');
  });

  test('a redelivery says so, and a gap is reported once', () => {
    const [again] = read(messageFormat({ ...shape, isRedelivery: true }).encode([message(1)]).bytes);
    expect(again!.headers.get('redelivered')).toBe('true');
    const [first] = read(encodeOne(message(1), shape, [['everywire-gap', '[{"reason":"retention"}]']]));
    expect(first!.headers.get('everywire-gap')).toBe('[{"reason":"retention"}]');
  });

  test('over WebSocket a frame is a message: text where the body is', () => {
    const { bytes } = messageFormat({ ...shape, link: 'websocket' }).encode([
      message(1),
      message(2, { payload: Buffer.from([1, 0, 255]), type: 'application/octet-stream' }),
    ]);
    const first = bytes.readUInt16BE(2) + 4;
    expect([bytes[0]! & 15, bytes[first]! & 15]).toEqual([1, 2]);
  });
});
