import {
  clientFrame,
  bytes,
  continuation,
  fragments,
  text,
  textFrame,
  type FrameCase,
} from './frame-case.ts';

/** The framing rows of RFC 6455 that the Autobahn groups leave out. `limit`: payload bytes of a message. */
export function framingCases(limit: number, fragmentsMax: number): readonly FrameCase[] {
  const hello = Buffer.from('hello');
  return [
    {
      id: '4.4.1',
      what: 'an unmasked frame',
      send: clientFrame({ opcode: 1, payload: hello, masked: false }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.6.1',
      what: 'a 16-bit length for 5 bytes',
      send: clientFrame({ opcode: 1, payload: hello, lengthBytes: 2 }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.6.2',
      what: 'a 16-bit length for 125 bytes',
      send: clientFrame({ opcode: 2, payload: Buffer.alloc(125), lengthBytes: 2 }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.6.3',
      what: 'a 64-bit length for 5 bytes',
      send: clientFrame({ opcode: 1, payload: hello, lengthBytes: 8 }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.6.4',
      what: 'a 64-bit length for 65,535 bytes',
      send: clientFrame({ opcode: 1, payload: Buffer.alloc(65_535, 'a'), lengthBytes: 8 }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.7.1',
      what: 'a 64-bit length with its top bit set',
      send: bytes('82ff 8000000000000001 00000000'),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.9.1',
      what: 'a fragmented ping',
      send: clientFrame({ opcode: 9, payload: hello, fin: false }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.9.2',
      what: 'a ping with a 16-bit length of 5',
      send: clientFrame({ opcode: 9, payload: hello, lengthBytes: 2 }),
      echoes: [],
      close: 1002,
    },
    {
      id: '4.12.1',
      what: 'one byte over the limit, announced',
      send: clientFrame({ opcode: 2, payload: Buffer.alloc(0), announce: limit + 1, lengthBytes: 8 }),
      echoes: [],
      close: 1009,
    },
    {
      id: '4.12.2',
      what: '2^62 bytes, announced',
      send: bytes('82ff 4000000000000000'),
      echoes: [],
      close: 1009,
    },
    {
      id: '4.12.3',
      what: 'one byte over the limit, in two frames',
      send: fragments(2, [Buffer.alloc(limit), Buffer.alloc(1)]),
      echoes: [],
      close: 1009,
    },
    {
      id: '4.12.4',
      what: 'as many frames as allowed',
      send: fragments(
        1,
        Array.from({ length: fragmentsMax }, () => 'a'),
      ),
      echoes: [text('a'.repeat(fragmentsMax))],
      close: undefined,
    },
    {
      id: '4.12.5',
      what: 'one frame more, all empty',
      send: Buffer.concat([
        textFrame('', false),
        ...Array.from({ length: fragmentsMax }, () => continuation('', false)),
      ]),
      echoes: [],
      close: 1009,
    },
  ];
}
