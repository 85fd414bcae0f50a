import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { payloadMember, writeEnvelope, type GapNotice } from '../../src/envelope.ts';
import { EverywireError } from '../../src/errors.ts';
import { parseExactly } from '../../src/exact-json.ts';
import { LineReader } from '../../src/http/lines.ts';
import {
  NdjsonReader,
  ndjsonFailure,
  ndjsonGap,
  ndjsonGoaway,
  ndjsonHeartbeat,
  ndjsonMessage,
} from '../../src/http/ndjson.ts';
import { problemOf } from '../../src/http/problem.ts';
import {
  sseData,
  sseFailure,
  sseGap,
  sseGoaway,
  sseHeartbeat,
  sseId,
  sseItem,
  sseMessage,
  ssePosition,
  sseRetry,
  SseReader,
} from '../../src/http/sse.ts';
import type { StreamItem } from '../../src/http/stream-item.ts';
import { anyChunks, everyCut } from './pieces.ts';

const cursor = '1abcdef.z.0123456789abcdef';
const notice: GapNotice = { channel: 'a/ü', from: 3, to: 5, reason: 'retention', cursor };
const problem = problemOf(new EverywireError('store_unavailable', 'The disk is gone.'), undefined);
const refusal = { code: 'store_unavailable', message: 'The disk is gone.', httpStatus: 503 };

function envelopeOf(text: string, event?: string): string {
  const fields = { channel: 'a/ü', offset: 7, cursor, id: 'i', timeMs: 0, type: 'text/plain', event };
  return writeEnvelope(fields, payloadMember('text/plain', new TextEncoder().encode(text)));
}

const messageItem = (text: string, event?: string): StreamItem => ({
  kind: 'message',
  cursor,
  envelope: JSON.parse(envelopeOf(text, event)),
});

const texts = ['', 'plain', '방 😀', 'two\nlines\r\n\rand more', '{"gap":1}'];

const ndjson =
  ndjsonHeartbeat +
  texts.map((text) => ndjsonMessage(envelopeOf(text))).join('') +
  ndjsonGap(notice) +
  '{"newer":true}\n' +
  ndjsonGoaway(2_347) +
  ndjsonFailure(problem);
const ndjsonItems: readonly StreamItem[] = [
  { kind: 'heartbeat' },
  ...texts.map((text) => messageItem(text)),
  { kind: 'gap', notice },
  { kind: 'goaway', retryAfterMs: 2_347 },
  { kind: 'failure', refusal },
];

const events = ['everywire.gap', 'everywire.error', undefined];
const sse =
  sseRetry(2_000) +
  ssePosition(cursor) +
  sseHeartbeat +
  sseId(cursor) +
  sseHeartbeat +
  ssePosition(cursor) +
  texts.map((text) => sseMessage(cursor, undefined, envelopeOf(text))).join('') +
  events.map((event) => sseMessage(cursor, event, envelopeOf('x', event))).join('') +
  sseGap(notice) +
  'event: newer\ndata: {}\n\n' +
  sseGoaway(2_347) +
  sseFailure(problem);
const sseItems: readonly StreamItem[] = [
  { kind: 'position', cursor, retryMs: 2_000 },
  { kind: 'heartbeat' },
  { kind: 'position', cursor },
  { kind: 'position', cursor },
  ...texts.map((text) => messageItem(text)),
  ...events.map((event) => messageItem('x', event)),
  { kind: 'gap', notice },
  { kind: 'goaway', retryAfterMs: 2_347 },
  { kind: 'failure', refusal },
];

function readNdjson(chunks: readonly (string | Uint8Array)[]): readonly StreamItem[] {
  const reader = new NdjsonReader();
  return chunks.flatMap((chunk) => reader.push(chunk));
}

function readSse(chunks: readonly (string | Uint8Array)[]): readonly StreamItem[] {
  const reader = new SseReader();
  return chunks
    .flatMap((chunk) => reader.push(chunk))
    .flatMap((event) => {
      const item = sseItem(event);
      return item === undefined ? [] : [item];
    });
}

describe.each([
  ['NDJSON', ndjson, ndjsonItems, readNdjson],
  ['Server-Sent Events', sse, sseItems, readSse],
] as const)('%s', (_name, text, items, read) => {
  it('is read as it was written, cut at every byte', () => {
    for (const chunks of everyCut(text)) expect(read(chunks)).toEqual(items);
  });

  it('is read as it was written, in any chunks of text or bytes', () => {
    fc.assert(
      fc.property(anyChunks(text), (chunks) => {
        expect(read(chunks)).toEqual(items);
      }),
    );
  });

  it('has no item before its end has come', () => {
    const last = text.replace(/\n+$/, '');
    expect(read([last])).toEqual(items.slice(0, -1));
  });

  it('may be any text and bytes: no reader throws', () => {
    const pieces = fc.array(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.uint8Array(),
        fc.constantFrom('data:', 'id:', 'event: everywire.gap\n', 'retry: 5', '\n\n', '\r', '{"error":{}}'),
      ),
    );
    fc.assert(
      fc.property(pieces, (chunks) => {
        for (const { kind } of read(chunks)) expect(kind).toBeTypeOf('string');
      }),
    );
  });
});

describe('NDJSON', () => {
  it.each(['[]', '1', 'null', '"x"', '{', 'no JSON'])('%s is a fault', (line) => {
    expect(readNdjson([`${line}\n`])).toEqual([{ kind: 'fault', detail: 'A line is not a JSON object.' }]);
  });

  it('may end its lines with CRLF', () => {
    expect(readNdjson([ndjson.replaceAll('\n', '\r\n')])).toEqual(ndjsonItems);
  });

  it('keeps the numbers of payloads for callers that ask for that', () => {
    const line = envelopeOf('x').replace('"x"', '9007199254740993').replace('text/plain', 'application/json');
    const [item] = new NdjsonReader(parseExactly).push(`${line}\n`);
    expect(item?.kind === 'message' && JSON.stringify(item.envelope)).toBe(line);
  });
});

describe('Server-Sent Events', () => {
  it('carry any payload: the reader gets the same text, except the kind of its line ends', () => {
    const chunked = fc
      .string({ unit: 'binary' })
      .chain((text) => fc.tuple(fc.constant(text), anyChunks(sseMessage(cursor, 'news', sseData(text)))));
    fc.assert(
      fc.property(
        chunked.filter(([text]) => text.isWellFormed()),
        ([text, chunks]) => {
          const reader = new SseReader();
          const found = chunks.flatMap((chunk) => reader.push(chunk));
          expect(found).toEqual([
            {
              name: 'news',
              id: cursor,
              data: text.replace(/\r\n|\r/g, '\n'),
              retryMs: undefined,
              comment: undefined,
            },
          ]);
        },
      ),
    );
  });

  // HTML §9.2.6, with its own examples.
  it.each([
    ['data: YHOO\ndata: +2\ndata: 10\n\n', [['message', undefined, 'YHOO\n+2\n10']]],
    [
      ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n',
      [
        ['message', undefined, undefined],
        ['message', '1', 'first event'],
        ['message', '', 'second event'],
        ['message', undefined, ' third event'],
      ],
    ],
    [
      'data\n\ndata\ndata\n\ndata:',
      [
        ['message', undefined, ''],
        ['message', undefined, '\n'],
      ],
    ],
    [
      'data:test\n\ndata: test\n\n',
      [
        ['message', undefined, 'test'],
        ['message', undefined, 'test'],
      ],
    ],
    [
      '\uFEFFdata: a\r\revent: x\r\ndata: b\r\n\r\n\n',
      [
        ['message', undefined, 'a'],
        ['x', undefined, 'b'],
      ],
    ],
    ['id: a\0b\nretry: 1s\nunknown: x\ndata: a\n\n', [['message', undefined, 'a']]],
  ])('%j', (text, expected) => {
    for (const chunks of everyCut(text)) {
      const reader = new SseReader();
      const found = chunks.flatMap((chunk) => reader.push(chunk));
      expect(found.map(({ name, id, data }) => [name, id, data])).toEqual(expected);
    }
  });

  it('whose data is no JSON are a fault', () => {
    expect(readSse(['data: {\n\n'])).toEqual([
      { kind: 'fault', detail: 'The data of an event is not JSON.' },
    ]);
  });
});

describe('lines', () => {
  it('ended by CR, LF or CRLF come out the same in any chunks', () => {
    const text = fc.array(fc.constantFrom('\r', '\n', 'a', '방', '😀')).map((all) => all.join(''));
    const cut = text.chain((whole) => fc.tuple(fc.constant(whole), anyChunks(whole)));
    fc.assert(
      fc.property(cut, ([whole, chunks]) => {
        const reader = new LineReader('any');
        const lines = chunks.flatMap((chunk) => reader.push(chunk));
        expect(lines).toEqual(whole.split(/\r\n|\n|\r/).slice(0, -1));
      }),
    );
  });

  it('of a long one that comes in many chunks are put together once', () => {
    const reader = new LineReader('lf');
    for (let chunk = 0; chunk < 100_000; chunk += 1) expect(reader.push('0123456789')).toEqual([]);
    expect(reader.push('\n')[0]).toHaveLength(1_000_000);
  });
});
