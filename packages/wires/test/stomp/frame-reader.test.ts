import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { versions, type Version } from '../../src/stomp/frame.ts';
import { FrameReader, type FrameBounds, type Received } from '../../src/stomp/frame-reader.ts';
import { encodeFrame } from '../../src/stomp/frames.ts';

const bounds: FrameBounds = {
  headBytesMax: 16_384,
  headersMax: 64,
  lineBytesMax: 4_096,
  commandBytesMax: 32,
  bodyBytesMax: 65_536,
};

/** Everything that is read out of the chunks, frames as plain values. */
function readAll(chunks: readonly Buffer[], version: Version | undefined, limits = bounds) {
  const reader = new FrameReader(limits);
  reader.version = version;
  const read: unknown[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let one = reader.next(); one !== undefined; one = reader.next()) read.push(plain(one));
  }
  return { read, reader };
}

function plain(received: Received): unknown {
  if (received.kind === 'fault') return received.code;
  const { command, headers, body } = received.frame;
  return [command, Object.fromEntries(headers), body.toString('latin1')];
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => Buffer.from(bytes.subarray(from, at[index] ?? bytes.length)));
}

const textOf = (text: string, version: Version = '1.2') => readAll([Buffer.from(text)], version).read;

const word = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed());
/** What each version can carry: 1.0 has no escapes, 1.1 none for CR. */
const carried: Readonly<Record<Version, (text: string, isName: boolean) => boolean>> = {
  '1.0': (text, isName) => !/[\r\n\0]/.test(text) && !(isName && text.includes(':')) && text === text.trim(),
  '1.1': (text) => !/[\r\0]/.test(text),
  '1.2': (text) => !text.includes('\0'),
};
const frames = fc.constantFrom(...versions).chain((version) => {
  const names = word.filter((text) => carried[version](text, true) && text !== 'content-length');
  const values = fc.oneof(fc.constant(''), word).filter((text) => carried[version](text, false));
  const frame = fc.record({
    command: fc.constantFrom('SEND', 'SUBSCRIBE', 'ACK', 'MESSAGE'),
    headers: fc.uniqueArray(fc.tuple(names, values), { selector: ([name]) => name, maxLength: 8 }),
    body: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  });
  return fc.record({ version: fc.constant(version), frames: fc.array(frame, { maxLength: 4 }) });
});

describe('frames', () => {
  test('decode(encode(x)) = x in every version and cut anywhere, with ends of lines between them', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(5_000), { maxLength: 12 }), (given, places) => {
        const bytes = Buffer.concat(
          given.frames.flatMap(({ command, headers, body }) => [
            encodeFrame(command, [...headers, ['content-length', String(body.length)]], given.version, body),
            Buffer.from('\n\r\n'),
          ]),
        );
        const { read, reader } = readAll(cut(bytes, places), given.version);
        expect(read).toEqual(
          given.frames.map(({ command, headers, body }) => [
            command,
            { ...Object.fromEntries(headers), 'content-length': String(body.length) },
            body.toString('latin1'),
          ]),
        );
        expect(reader.isInFrame).toBe(false);
      }),
    );
  });

  test('any bytes are frames or a named fault, the same in one chunk, in single bytes and cut anywhere', () => {
    const pieces = fc.oneof(
      { weight: 3, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
      {
        weight: 5,
        arbitrary: fc
          .constantFrom(
            'SEND\n',
            'a:b\n',
            '\n',
            '\0',
            'content-length:3\n',
            'x\\c:y\\q\n',
            '\r\n',
            'abc',
            '::\n',
          )
          .map((text) => Buffer.from(text)),
      },
    );
    const small = { ...bounds, headBytesMax: 60, lineBytesMax: 24, headersMax: 4, bodyBytesMax: 30 };
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 12 }).map((all) => Buffer.concat(all)),
        fc.array(fc.nat(400), { maxLength: 8 }),
        fc.constantFrom(undefined, ...versions),
        (bytes, places, version) => {
          const whole = readAll([Buffer.from(bytes)], version, small).read;
          const single = readAll(
            [...bytes].map((byte) => Buffer.from([byte])),
            version,
            small,
          ).read;
          expect(single).toEqual(whole);
          expect(readAll(cut(bytes, places), version, small).read).toEqual(whole);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('of a repeated header the first wins', () => {
    expect(textOf('SEND\nfoo:first\nfoo:second\n\n\0')).toEqual([['SEND', { foo: 'first' }, '']]);
  });

  test('a header named like a property of objects is a header', () => {
    const { read } = readAll([Buffer.from('SEND\n__proto__:x\nconstructor:y\n\n\0')], '1.2');
    expect(read).toHaveLength(1);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test('lines may end in CRLF', () => {
    expect(textOf('SEND\r\na:b\r\n\r\nbody\0\r\n\r\nACK\n\n\0')).toEqual([
      ['SEND', { a: 'b' }, 'body'],
      ['ACK', {}, ''],
    ]);
  });

  test('escapes are those of the version, and before CONNECT is answered there are none', () => {
    const text = 'SEND\na:\\n\\c\\\\\n\n\0';
    expect(textOf(text, '1.2')).toEqual([['SEND', { a: '\n:\\' }, '']]);
    expect(textOf(text, '1.1')).toEqual([['SEND', { a: '\n:\\' }, '']]);
    expect(textOf(text, '1.0')).toEqual([['SEND', { a: '\\n\\c\\\\' }, '']]);
    expect(readAll([Buffer.from(text)], undefined).read).toEqual([['SEND', { a: '\\n\\c\\\\' }, '']]);
    expect(textOf('SEND\na:\\r\n\n\0', '1.2')).toEqual([['SEND', { a: '\r' }, '']]);
    expect(textOf('SEND\na:\\r\n\n\0', '1.1')).toEqual(['malformed']);
    for (const escape of ['\\t', '\\x', '\\', '\\N'])
      expect(textOf(`SEND\na:${escape}\n\n\0`)).toEqual(['malformed']);
  });

  test('a counted body may hold NUL, one without a count ends at the first', () => {
    expect(textOf('SEND\ncontent-length:3\n\na\0b\0')).toEqual([['SEND', { 'content-length': '3' }, 'a\0b']]);
    expect(textOf('SEND\n\na\0')).toEqual([['SEND', {}, 'a']]);
    expect(textOf('SEND\ncontent-length:0\n\n\0')).toEqual([['SEND', { 'content-length': '0' }, '']]);
  });

  test.each([
    ['a count that is too small', 'SEND\ncontent-length:1\n\nab\0', 'malformed'],
    ['a negative count', 'SEND\ncontent-length:-1\n\n\0', 'malformed'],
    ['a count with an exponent', 'SEND\ncontent-length:1e3\n\n\0', 'malformed'],
    ['two counts', 'SEND\ncontent-length:0\ncontent-length:0\n\n\0', 'malformed'],
    ['a count of 2^64', 'SEND\ncontent-length:18446744073709551616\n\n', 'malformed'],
    ['a count over the limit, before any of it has come', 'SEND\ncontent-length:65537\n\n', 'too_large'],
    ['a body over the limit', `SEND\n\n${'x'.repeat(65_537)}`, 'too_large'],
    ['65 headers', `SEND\n${Array.from({ length: 65 }, (_, at) => `h${at}:x\n`).join('')}`, 'too_large'],
    ['a line over the limit, before it has ended', `SEND\n${'x'.repeat(4_098)}`, 'too_large'],
    [
      'a head over the limit',
      `SEND\n${Array.from({ length: 5 }, (_, at) => `h${at}:${'x'.repeat(4_000)}\n`).join('')}`,
      'too_large',
    ],
    ['a command of 64 bytes', 'A'.repeat(64), 'malformed'],
    ['a command in small letters', 'send\n', 'malformed'],
    ['NUL between frames', '\n\n\0', 'malformed'],
    ['NUL in a head', 'SEND\na:b\0', 'malformed'],
    ['a header without a colon', 'SEND\nab\n\n\0', 'malformed'],
    ['a header without a name', 'SEND\n:b\n\n\0', 'malformed'],
    ['a header with a bare CR', 'SEND\na:b\rc\n\n\0', 'malformed'],
    ['CR between frames', '\rSEND\n\n\0', 'malformed'],
  ])('%s', (_name, text, code) => {
    const { read, reader } = readAll([Buffer.from(text)], '1.2');
    expect(read).toEqual([code]);
    reader.push(Buffer.from('SEND\n\n\0'));
    expect(reader.next()).toBeUndefined();
  });

  test.each([
    ['ff fe', [0xff, 0xfe]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['an overlong form', [0xc0, 0x80]],
  ])('a header that is not UTF-8 is refused: %s', (_name, bytes) => {
    const frame = Buffer.concat([Buffer.from('SEND\na:'), Buffer.from(bytes), Buffer.from('\n\n\0')]);
    expect(readAll([frame], '1.2').read).toEqual(['malformed']);
  });

  test('a fault names the receipt that the frame asked for', () => {
    const reader = new FrameReader(bounds);
    reader.version = '1.2';
    reader.push(Buffer.from('SEND\nreceipt:r-1\nbroken\n\n\0'));
    expect(reader.next()).toMatchObject({ kind: 'fault', receipt: 'r-1' });
  });

  test('a flood of ends of lines costs nothing and is no frame', () => {
    const { read, reader } = readAll([Buffer.alloc(100_000, 0x0a)], '1.2');
    expect(read).toEqual([]);
    expect(reader.isInFrame).toBe(false);
  });
});

test.each(['a\0', 'AB\r\0', 'AB\rC\n', `A\r${'B'.repeat(40)}`, `${'a'.repeat(40)}\n`, 'Aé\0', '\r\r\n'])(
  'of two faults in the command %j the first is reported, however the bytes were cut',
  (text) => {
    const faultOf = (chunks: readonly Buffer[]): Received[] => {
      const reader = new FrameReader(bounds);
      return chunks.flatMap((chunk) => {
        reader.push(chunk);
        return reader.next() ?? [];
      });
    };
    const bytes = Buffer.from(text);
    const whole = faultOf([Buffer.from(bytes)]);
    expect(whole).toMatchObject([{ kind: 'fault', code: 'malformed' }]);
    for (let at = 1; at < bytes.length; at += 1) expect(faultOf(cut(bytes, [at]))).toEqual(whole);
    expect(faultOf([...bytes].map((byte) => Buffer.of(byte)))).toEqual(whole);
  },
);
