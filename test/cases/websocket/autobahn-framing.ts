import {
  binary,
  bytes,
  clientFrame,
  closeFrame,
  closeWith,
  continuation,
  fragments,
  ping,
  pong,
  text,
  textFrame,
  type FrameCase,
} from './frame-case.ts';

/** Groups 1–5 and 7 of the Autobahn testsuite, rewritten by number; sizes are cut to the payload limit. */

const sizes = [0, 125, 126, 127, 128, 65_535, 65_536];

const group1: FrameCase[] = [1, 2].flatMap((opcode) =>
  sizes.map((size, at) => {
    const payload = Buffer.alloc(size, opcode === 1 ? '*' : 0xfe);
    return {
      id: `1.${opcode}.${at + 1}`,
      what: `${opcode === 1 ? 'text' : 'binary'} of ${size} bytes`,
      send: clientFrame({ opcode, payload }),
      echoes: [{ opcode: opcode as 1 | 2, payload }],
      close: undefined,
    };
  }),
);

const group2: FrameCase[] = [
  { id: '2.1', what: 'ping without payload', send: ping(), pongs: [bytes('')] },
  { id: '2.2', what: 'ping with text', send: ping('Hello, world!'), pongs: [Buffer.from('Hello, world!')] },
  {
    id: '2.3',
    what: 'ping with bytes',
    send: ping(bytes('00fffefdfcfb00ff')),
    pongs: [bytes('00fffefdfcfb00ff')],
  },
  {
    id: '2.4',
    what: 'ping of 125 bytes',
    send: ping(Buffer.alloc(125, 0xfe)),
    pongs: [Buffer.alloc(125, 0xfe)],
  },
  { id: '2.5', what: 'ping of 126 bytes', send: ping(Buffer.alloc(126, 0xfe)), close: 1002 },
  { id: '2.7', what: 'a pong without a ping, empty', send: pong() },
  { id: '2.8', what: 'a pong without a ping', send: pong('unsolicited pong payload') },
  {
    id: '2.9',
    what: 'a pong without a ping, then a ping',
    send: Buffer.concat([pong('unsolicited'), ping('ping payload')]),
    pongs: [Buffer.from('ping payload')],
  },
  {
    id: '2.10',
    what: 'ten pings',
    send: Buffer.concat(Array.from({ length: 10 }, (_, at) => ping(`payload-${at}`))),
    pongs: Array.from({ length: 10 }, (_, at) => Buffer.from(`payload-${at}`)),
  },
].map((one) => ({ echoes: [], close: undefined, ...one }));

const hello = textFrame('Hello, world!');
const helloBack = text('Hello, world!');

const group3: FrameCase[] = [1, 2, 3, 4, 5, 6, 7].map((rsv) => ({
  id: `3.${rsv}`,
  what: `reserved bits ${rsv.toString(2).padStart(3, '0')}`,
  send: Buffer.concat([
    hello,
    clientFrame({ opcode: [1, 1, 1, 1, 2, 8, 9][rsv - 1]!, payload: bytes(''), rsv }),
  ]),
  echoes: [helloBack],
  close: 1002,
}));

const group4: FrameCase[] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode, at) => ({
  id: `4.${opcode < 8 ? 1 : 2}.${(at % 5) + 1}`,
  what: `opcode ${opcode}`,
  send: Buffer.concat([hello, clientFrame({ opcode, payload: Buffer.alloc(at % 2 === 0 ? 0 : 13, 0x61) })]),
  echoes: [helloBack],
  close: 1002,
}));

const [f1, f2] = ['fragment1', 'fragment2'] as const;
const whole = text(f1 + f2);

const group5: FrameCase[] = [
  {
    id: '5.1',
    what: 'a ping in two frames',
    send: Buffer.concat([
      clientFrame({ opcode: 9, payload: Buffer.from(f1), fin: false }),
      continuation(f2, true),
    ]),
    close: 1002,
  },
  {
    id: '5.2',
    what: 'a pong in two frames',
    send: Buffer.concat([
      clientFrame({ opcode: 10, payload: Buffer.from(f1), fin: false }),
      continuation(f2, true),
    ]),
    close: 1002,
  },
  { id: '5.3', what: 'text in two frames', send: fragments(1, [f1, f2]), echoes: [whole] },
  {
    id: '5.6',
    what: 'a ping between two frames',
    send: Buffer.concat([textFrame(f1, false), ping('between'), continuation(f2, true)]),
    echoes: [whole],
    pongs: [Buffer.from('between')],
  },
  {
    id: '5.9',
    what: 'a continuation without a start',
    send: Buffer.concat([continuation(f1, true), hello]),
    close: 1002,
  },
  {
    id: '5.10',
    what: 'the same, not the last',
    send: Buffer.concat([continuation(f1, false), hello]),
    close: 1002,
  },
  {
    id: '5.15',
    what: 'a continuation after the end of a message',
    send: Buffer.concat([fragments(1, [f1, f2]), continuation('fragment3', false), textFrame('fragment4')]),
    echoes: [whole],
    close: 1002,
  },
  {
    id: '5.16',
    what: 'continuation, text, continuation',
    send: Buffer.concat([continuation(f1, false), textFrame(f2, false), continuation('3', true)]),
    close: 1002,
  },
  {
    id: '5.18',
    what: 'two starts',
    send: Buffer.concat([textFrame(f1, false), textFrame(f2)]),
    close: 1002,
  },
  {
    id: '5.19',
    what: 'five frames with pings between',
    send: Buffer.concat([
      textFrame('1', false),
      continuation('2', false),
      ping('pongme 1!'),
      continuation('3', false),
      continuation('4', false),
      ping('pongme 2!'),
      continuation('5', true),
    ]),
    echoes: [text('12345')],
    pongs: [Buffer.from('pongme 1!'), Buffer.from('pongme 2!')],
  },
  {
    id: '5.21',
    what: 'binary in frames, one empty',
    send: fragments(2, ['a', '', 'b']),
    echoes: [binary(Buffer.from('ab'))],
  },
].map((one) => ({ echoes: [], close: undefined, ...one }));

const legalCodes = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];
const illegalCodes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];

const group7: FrameCase[] = [
  {
    id: '7.1.1',
    what: 'text, Close',
    send: Buffer.concat([hello, closeWith(1000)]),
    echoes: [helloBack],
    close: 1000,
  },
  { id: '7.1.2', what: 'Close twice', send: Buffer.concat([closeWith(1000), closeWith(1000)]), close: 1000 },
  { id: '7.1.3', what: 'Close, ping', send: Buffer.concat([closeWith(1000), ping('late')]), close: 1000 },
  { id: '7.1.4', what: 'Close, text', send: Buffer.concat([closeWith(1000), hello]), close: 1000 },
  {
    id: '7.1.5',
    what: 'a first frame, Close, the rest',
    send: Buffer.concat([textFrame(f1, false), closeWith(1000), continuation(f2, true)]),
    close: 1000,
  },
  {
    id: '7.1.6',
    what: 'a large message, a small one, Close, ping',
    send: Buffer.concat([textFrame('BAsd7&jh23'.repeat(6_000)), hello, closeWith(1000), ping()]),
    echoes: [text('BAsd7&jh23'.repeat(6_000)), helloBack],
    close: 1000,
  },
  { id: '7.3.1', what: 'Close without a body', send: closeWith(), close: 1005 },
  { id: '7.3.2', what: 'a Close body of one byte', send: closeFrame(Buffer.of(0x61)), close: 1002 },
  { id: '7.3.3', what: 'Close 1000', send: closeWith(1000), close: 1000 },
  { id: '7.3.4', what: 'Close with a reason', send: closeWith(1000, 'Hello World!'), close: 1000 },
  { id: '7.3.5', what: 'a reason of 123 bytes', send: closeWith(1000, '*'.repeat(123)), close: 1000 },
  { id: '7.3.6', what: 'a reason of 124 bytes', send: closeWith(1000, '*'.repeat(124)), close: 1002 },
  {
    id: '7.5.1',
    what: 'a reason that is not UTF-8',
    send: closeWith(1000, bytes('cebae1bdb9cf83cebcceb5eda080')),
    close: 1007,
  },
  {
    id: '7.5.2',
    what: 'a fragmented Close',
    send: clientFrame({ opcode: 8, payload: bytes('03e8'), fin: false }),
    close: 1002,
  },
  ...legalCodes.map((code, at) => ({
    id: `7.7.${at + 1}`,
    what: `Close ${code}`,
    send: closeWith(code),
    close: code,
  })),
  ...illegalCodes.map((code, at) => ({
    id: `7.9.${at + 1}`,
    what: `Close ${code}`,
    send: closeWith(code),
    close: 1002,
  })),
].map((one) => ({ echoes: [], ...one }));

export const autobahnFraming: readonly FrameCase[] = [
  ...group1,
  ...group2,
  ...group3,
  ...group4,
  ...group5,
  ...group7,
];
