import {
  bytes,
  continuation,
  fragments,
  octets,
  ping,
  text,
  textFrame,
  type FrameCase,
} from './frame-case.ts';

/** Group 6 of the Autobahn testsuite in full: text that is, and is not, UTF-8. */

const greek = bytes('cebae1bdb9cf83cebcceb5');
const surrogate = bytes('eda080');
const edited = Buffer.from('edited');
const hello = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!');

function valid(id: string, what: string, payload: Buffer, send = textFrame(payload)): FrameCase {
  return { id, what, send, echoes: [text(payload)], close: undefined };
}

function invalid(id: string, what: string, send: Buffer): FrameCase {
  return { id, what, send, echoes: [], close: 1007 };
}

const numbered = (group: string, all: readonly string[], make: (id: string, hex: string) => FrameCase) =>
  all.map((hex, at) => make(`${group}.${at + 1}`, hex));
const allValid = (group: string, what: string, all: readonly string[]) =>
  numbered(group, all, (id, hex) => valid(id, `${what}: ${hex}`, bytes(hex)));
const allInvalid = (group: string, what: string, all: readonly string[]) =>
  numbered(group, all, (id, hex) => invalid(id, `${what}: ${hex.slice(0, 40)}`, textFrame(bytes(hex))));

const range = (from: number, to: number, after = '') =>
  Array.from({ length: to - from + 1 }, (_, at) => (from + at).toString(16) + after).join('');

const lastByteMissing = [
  'c0',
  'e080',
  'f08080',
  'f8808080',
  'fc80808080',
  'df',
  'efbf',
  'f7bfbf',
  'fbbfbfbf',
  'fdbfbfbfbf',
];
/** Characters whose cut after every byte decides 6.6: valid where one ends. */
const endsOfCharacters = new Set([2, 5, 7, 9, 11]);
const planes = [
  'f09f',
  'f0af',
  'f0bf',
  'f18f',
  'f19f',
  'f1af',
  'f1bf',
  'f28f',
  'f29f',
  'f2af',
  'f2bf',
  'f38f',
  'f39f',
  'f3af',
  'f3bf',
  'f48f',
];

export const autobahnUtf8: readonly FrameCase[] = [
  valid('6.1.1', 'empty', bytes('')),
  valid('6.1.2', 'three empty frames', bytes(''), fragments(1, ['', '', ''])),
  valid('6.1.3', 'the middle one not empty', Buffer.from('middle'), fragments(1, ['', 'middle', ''])),
  valid('6.2.1', 'one frame', hello),
  valid('6.2.2', 'cut between characters', hello, fragments(1, [hello.subarray(0, 12), hello.subarray(12)])),
  valid('6.2.3', 'one byte a frame', hello, fragments(1, octets(hello))),
  valid('6.2.4', 'Greek, one byte a frame', greek, fragments(1, octets(greek))),
  invalid('6.3.1', 'a surrogate in the middle', textFrame(Buffer.concat([greek, surrogate, edited]))),
  invalid(
    '6.3.2',
    'the same, one byte a frame',
    fragments(1, octets(Buffer.concat([greek, surrogate, edited]))),
  ),
  // Fail fast: the verdict comes with the bytes, so the ping that follows them is not answered any more.
  ...[
    { id: '6.4.1', parts: [greek, bytes('f4908080')] },
    { id: '6.4.2', parts: [Buffer.concat([greek, bytes('f4')]), bytes('90')] },
    { id: '6.4.3', parts: [greek, bytes('f4'), bytes('90')] },
    { id: '6.4.4', parts: [greek, surrogate] },
  ].map(({ id, parts }) =>
    invalid(
      id,
      'bad before the message ends',
      Buffer.concat([
        ...parts.map((part, at) => (at === 0 ? textFrame(part, false) : continuation(part, false))),
        ping('late'),
      ]),
    ),
  ),
  valid('6.5.1', 'Greek', greek),
  valid('6.5.2', 'cut inside a character', greek, fragments(1, [greek.subarray(0, 3), greek.subarray(3)])),
  valid('6.5.3', 'cut before its last byte', greek, fragments(1, [greek.subarray(0, 4), greek.subarray(4)])),
  ...Array.from({ length: 11 }, (_, at) =>
    endsOfCharacters.has(at + 1)
      ? valid(`6.6.${at + 1}`, 'a beginning that ends with a character', greek.subarray(0, at + 1))
      : invalid(`6.6.${at + 1}`, 'a beginning that ends inside one', textFrame(greek.subarray(0, at + 1))),
  ),
  ...allValid('6.7', 'first of its length', ['00', 'c280', 'e0a080', 'f0908080']),
  ...allInvalid('6.8', 'first of 5 and 6 bytes', ['f888808080', 'fc8480808080']),
  ...allValid('6.9', 'last of its length', ['7f', 'dfbf', 'efbfbf', 'f48fbfbf']),
  ...allInvalid('6.10', 'last of 4, 5 and 6 bytes', ['f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf']),
  ...allValid('6.11', 'at the edges', ['ed9fbf', 'ee8080', 'efbfbd', 'f48fbfbf']),
  invalid('6.11.5', 'above U+10FFFF', textFrame(bytes('f4908080'))),
  ...allInvalid('6.12', 'continuation bytes alone', [
    '80',
    'bf',
    '80bf',
    '80bf80',
    '80bf80bf',
    '80bf80bf80',
    '80bf80bf80bf',
    range(0x80, 0xbf),
  ]),
  ...allInvalid('6.13', 'first bytes alone', [
    range(0xc0, 0xdf, '20'),
    range(0xe0, 0xef, '20'),
    range(0xf0, 0xf7, '20'),
    range(0xf8, 0xfb, '20'),
    range(0xfc, 0xfd, '20'),
  ]),
  ...allInvalid('6.14', 'the last byte missing', lastByteMissing),
  ...allInvalid('6.15', 'all of those in a row', [lastByteMissing.join('')]),
  ...allInvalid('6.16', 'bytes that never occur', ['fe', 'ff', 'fefeffff']),
  ...allInvalid('6.17', 'overlong slash', ['c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af']),
  ...allInvalid('6.18', 'longest overlong', ['c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf']),
  ...allInvalid('6.19', 'overlong NUL', ['c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080']),
  ...allInvalid('6.20', 'a surrogate', [
    'eda080',
    'edadbf',
    'edae80',
    'edafbf',
    'edb080',
    'edbe80',
    'edbfbf',
  ]),
  ...allInvalid('6.21', 'a surrogate pair', [
    'eda080edb080',
    'eda080edbfbf',
    'edadbfedb080',
    'edadbfedbfbf',
    'edae80edb080',
    'edae80edbfbf',
    'edafbfedb080',
    'edafbfedbfbf',
  ]),
  ...allValid('6.22', 'not a character, and still UTF-8', [
    'efbfbe',
    'efbfbf',
    ...planes.flatMap((plane) => [`${plane}bfbe`, `${plane}bfbf`]),
  ]),
  ...allValid('6.23', 'specials', ['efbfb9', 'efbfba', 'efbfbb', 'efbfbc', 'efbfbd', 'efbfbe', 'efbfbf']),
];
