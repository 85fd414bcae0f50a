import { EverywireError, errorTable, type ErrorCode } from '@everywire/protocol';
import { expect, test } from 'vitest';
import { versions, type Frame, type Version } from '../../src/stomp/frame.ts';
import { FrameReader } from '../../src/stomp/frame-reader.ts';
import { beat, encodeError, encodeFrame, readError } from '../../src/stomp/frames.ts';

const bounds = {
  headBytesMax: 16_384,
  headersMax: 64,
  lineBytesMax: 4_096,
  commandBytesMax: 32,
  bodyBytesMax: 65_536,
};

/** Reads as a client does: nothing has escapes before CONNECTED, which tells the version. */
function readAsClient(chunks: readonly Buffer[]): Frame[] {
  const reader = new FrameReader(bounds);
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let one = reader.next(); one !== undefined; one = reader.next()) {
      if (one.kind === 'fault') throw new Error(one.detail);
      if (one.frame.command === 'CONNECTED') reader.version = one.frame.headers.get('version') as Version;
      frames.push(one.frame);
    }
  }
  return frames;
}

test.each(versions)('a client reads what a server of %s sends, cut at every place', (version) => {
  const value = version === '1.0' ? 'plain' : 'a:b\\c';
  const message = Buffer.from('body \0 with a NUL');
  const bytes = Buffer.concat([
    encodeFrame('CONNECTED', [['version', version]], version),
    beat,
    encodeFrame('RECEIPT', [['receipt-id', value]], version),
    encodeFrame(
      'MESSAGE',
      [
        ['destination', value],
        ['content-length', String(message.length)],
      ],
      version,
      message,
    ),
    encodeError(new EverywireError('rate_limited', 'Too fast.', { retryAfterMs: 1_500 }), {
      version,
      receipt: value,
    }),
  ]);
  for (let at = 0; at <= bytes.length; at += 1) {
    const [connected, receipt, delivered, error, ...more] = readAsClient([
      bytes.subarray(0, at),
      bytes.subarray(at),
    ]);
    expect(connected?.headers.get('version')).toBe(version);
    expect(receipt?.headers.get('receipt-id')).toBe(value);
    expect(delivered?.headers.get('destination')).toBe(value);
    expect(delivered?.body).toEqual(message);
    expect(readError(error!)).toEqual({
      message: 'rate_limited',
      detail: 'Rate limit exceeded. Too fast.',
      receipt: value,
      retryAfterMs: 1_500,
    });
    expect(more).toEqual([]);
  }
});

test.each(Object.keys(errorTable) as ErrorCode[])('%s is read from an ERROR', (code) => {
  const [frame] = readAsClient([encodeError(new EverywireError(code, 'Why.'), { version: '1.2' })]);
  expect(readError(frame!)).toEqual({
    message: code,
    detail: `${errorTable[code].title} Why.`,
    receipt: undefined,
    retryAfterMs: undefined,
  });
});

test('an ERROR of another server, as far as it says something', () => {
  const [frame] = readAsClient([Buffer.from('ERROR\nretry-after-ms:soon\n\nNo.\n\0')]);
  expect(readError(frame!)).toEqual({
    message: undefined,
    detail: 'No.',
    receipt: undefined,
    retryAfterMs: undefined,
  });
});
