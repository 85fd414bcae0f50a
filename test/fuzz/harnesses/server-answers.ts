import assert from 'node:assert/strict';
import {
  EverywireError,
  gapNotice,
  parseExactly,
  payloadMember,
  payloadOf,
  writeEnvelope,
} from '@everywire/protocol';
import {
  gapFrame,
  readClose,
  readFrame,
  readGapReason,
  refusedAnswer,
} from '@everywire/protocol/everywire-v1';
import {
  NdjsonReader,
  ndjsonGap,
  ndjsonGoaway,
  readPage,
  readProblem,
  sseGap,
  sseGoaway,
  sseItem,
  sseMessage,
  ssePosition,
  sseRetry,
  SseReader,
  writePage,
  type SseEvent,
  type StreamItem,
} from '@everywire/protocol/http';
import type { Harness } from '../harness.ts';
import { chunkingsOf } from '../tools.ts';

const cursor = '1abcdef.7.0123456789abcdef';
const fields = { channel: 'a', offset: 7, cursor, id: 'i', timeMs: 0, type: 'application/json' };
const envelope = writeEnvelope(fields, payloadMember(fields.type, Buffer.from('{"big":9007199254740993}')));
const next = { epoch: 'abcdef', seq: 7, tag: '0123456789abcdef' };
const notice = gapNotice({ channel: 'a', from: 1, to: 6, reason: 'retention', next });
const refusal = new EverywireError('rate_limited', 'Slow down.', { retryAfterMs: 5 });

const readEvents = (chunks: readonly Buffer[]): readonly SseEvent[] => {
  const reader = new SseReader();
  return chunks.flatMap((chunk) => reader.push(chunk));
};

const readLines = (chunks: readonly Buffer[]): readonly StreamItem[] => {
  const reader = new NdjsonReader(parseExactly);
  return chunks.flatMap((chunk) => reader.push(chunk));
};

/** What clients read of a server: event streams, lines, pages, frames, problems and close reasons. */
export const harness: Harness = {
  name: 'server-answers',
  inputBytesMax: 400,
  seeds: [
    sseRetry(2_000) +
      ssePosition(cursor) +
      sseMessage(cursor, 'tick', envelope) +
      sseGap(notice) +
      sseGoaway(5),
    'event: everywire.error\ndata: {"status":503,"code":"going_away","detail":"Bye."}\n\n',
    `\n${envelope}\n${ndjsonGap(notice)}${ndjsonGoaway(5)}`,
    writePage([envelope], { cursor, gaps: [notice, notice], more: true }),
    envelope.replace('{', '{"op":"message",'),
    gapFrame(notice),
    '{"op":"ended","channel":"a","error":{"code":"forbidden","message":"No."}}',
    '{"id":1,"ok":true,"offset":7,"cursor":"c","message":"i","duplicate":true}',
    refusedAnswer('"x"', refusal),
    `gap retention 1-6 after=${cursor}`,
    'rate_limited: Slow down.',
  ],
  dictionary: ['"base64":"', '"data":', '"gaps":', '\r\n', 'retry: ', ': goaway', '"continuity":"gap"'],
  run: (input) => {
    const events = readEvents([input]);
    const items = readLines([input]);
    for (const chunks of chunkingsOf(input)) {
      assert.deepEqual(readEvents(chunks), events, 'the same events however the bytes are cut');
      assert.deepEqual(readLines(chunks), items, 'the same lines however the bytes are cut');
    }
    const found = [...events.map((event) => sseItem(event, parseExactly)), ...items];
    for (const item of found) {
      if (item?.kind === 'message') payloadOf(item.envelope);
      if (item?.kind === 'position') assert.equal(typeof item.cursor, 'string');
    }
    const text = input.toString();
    const isReason = readGapReason(text) !== undefined || readClose(1000, text).code !== undefined;
    const value = jsonOf(text);
    const isRead = [readFrame, readPage, readProblem].some((read) => read(value) !== undefined);
    return isReason || isRead || found.some((item) => item !== undefined && item.kind !== 'fault');
  },
};

function jsonOf(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
