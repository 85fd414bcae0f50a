import type { Envelope } from '@everywire/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePlain,
  decodeValue,
  decodeWhole,
  encodeCopy,
  encodePlain,
  encodeValue,
  encodeWhole,
  fitsCommand,
  isFor,
  metaHeader,
  type Packet,
  type Publication,
} from '../src/packets.ts';

const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array));
const { argument } = fc.letrec((tie) => ({
  argument: fc.oneof(
    { depthSize: 'small' },
    fc.jsonValue({ noUnicodeString: false }),
    bytes,
    fc.array(tie('argument'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), tie('argument'), { maxKeys: 3 }),
  ),
}));
const packets: fc.Arbitrary<Packet> = fc.record({
  event: fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('message', 'said', '__proto__')),
  args: fc.array(argument, { maxLength: 4 }),
  rooms: fc.array(fc.string(), { maxLength: 3 }),
  except: fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 }),
  isVolatile: fc.boolean(),
  compress: fc.constantFrom(undefined, false),
});

function packet(given: Partial<Packet>): Packet {
  return {
    event: 'said',
    args: [],
    rooms: ['r'],
    except: [],
    isVolatile: false,
    compress: undefined,
    ...given,
  };
}

const envelope = {
  channel: 'socket.io/_/r',
  offset: 1,
  cursor: 'c',
  id: '01M7Z2BWBG4BDDDC1E0DD8B511',
  time: '2026-01-01T00:00:00.000Z',
  type: 'application/json',
};

/** A publication as a subscriber gets it. */
function messageOf({ payload, event, meta }: Publication): Envelope {
  return {
    ...envelope,
    type: typeof payload === 'string' ? 'application/json' : 'application/octet-stream',
    ...(event === undefined ? {} : { event }),
    ...(typeof payload === 'string'
      ? { data: JSON.parse(payload) as unknown }
      : { base64: Buffer.from(payload).toString('base64') }),
    ...(meta === undefined ? {} : { headers: { [metaHeader]: meta } }),
  };
}

/** What JSON makes of a value, and no more: -0 is 0 on the wire. */
const onTheWire = (value: unknown): unknown => decodeValue(JSON.parse(encodeValue(value)));

describe('packets as messages', () => {
  it('come back as they were, from the channel of their room', () => {
    fc.assert(
      fc.property(packets, (given) => {
        const publication = encodePlain(given);
        if (publication === undefined) return;
        if (publication.meta !== undefined)
          expect(publication.meta).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        expect(decodePlain(messageOf(publication), given.rooms)).toEqual({
          ...given,
          args: onTheWire(given.args),
        });
      }),
    );
  });

  it('come back as they were from the channel of packets', () => {
    fc.assert(
      fc.property(packets, (given) => {
        expect(decodeWhole(JSON.parse(encodeWhole(given)))).toEqual({
          ...given,
          args: onTheWire(given.args),
        });
      }),
    );
  });

  it.each<[string, readonly unknown[], string | Uint8Array, string | undefined]>([
    ['one JSON argument is the payload', [{ text: 'hi' }], '{"text":"hi"}', undefined],
    ['one string is a JSON string', ['hi'], '"hi"', undefined],
    ['one binary argument is the payload', [Buffer.from('hi')], Buffer.from('hi'), undefined],
    ['several arguments are an array', ['hi', 1], '["hi",1]', '{"args":"list"}'],
    ['no argument is an empty array', [], '[]', '{"args":"list"}'],
    ['one array is the payload too', [[1, 2]], '[1,2]', undefined],
    ['undefined is null, as on the wire', [undefined], '[null]', '{"args":"list"}'],
    ['bytes within are base64', [{ file: Buffer.from('hi') }], '{"file":"aGk="}', '{"binary":[["file"]]}'],
  ])('%s', (_, args, payload, meta) => {
    expect(encodePlain(packet({ args }))).toEqual({ payload, event: 'said', meta });
  });

  it('of which a copy is kept are delivered once', () => {
    const copy = encodeCopy(packet({ args: ['hi', 1], except: ['x'] }))!;
    expect(copy.payload).toBe('["hi",1]');
    expect(decodePlain(messageOf(copy), ['r'])).toBeUndefined();
  });

  it('whose names or exceptions do not fit go whole', () => {
    expect(encodePlain(packet({ event: 'x'.repeat(300) }))).toBeUndefined();
    expect(encodePlain(packet({ event: 'a\nb' }))).toBeUndefined();
    expect(encodePlain(packet({ event: 7 }))).toBeUndefined();
    expect(
      encodePlain(packet({ except: Array.from({ length: 500 }, (_, at) => `a-room-${at}-with-a-name`) })),
    ).toBeUndefined();
  });

  it('of other publishers are events with one argument', () => {
    expect(decodePlain({ ...envelope, data: 'hello', type: 'text/plain' }, ['r'])).toEqual(
      packet({ event: 'message', args: ['hello'] }),
    );
    expect(decodePlain({ ...envelope, event: 'paid', data: { total: 1 } }, [])).toEqual(
      packet({ event: 'paid', args: [{ total: 1 }], rooms: [] }),
    );
    const binary = { ...envelope, base64: 'aGk=', type: 'application/octet-stream' };
    expect(decodePlain(binary, ['r'])?.args).toEqual([Buffer.from('hi')]);
  });

  it.each(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'])(
    'named %s, which would end the connections of their receivers, are named message',
    (event) => {
      const message = { ...envelope, event, data: 1 };
      expect(decodePlain(message, [])?.event).toBe('message');
      expect(decodeWhole(JSON.parse(encodeWhole(packet({ event })))).event).toBe('message');
    },
  );

  it.each<[string, unknown]>([
    ['no object', 7],
    ['no value', {}],
    ['no packet', { value: { event: 'x' } }],
    ['null', { value: null }],
    [
      'a path that leads nowhere',
      { value: { event: 'x', args: [], rooms: [], except: [] }, binary: [['args', 0, 'x']] },
    ],
    ['a path through the prototype', { value: {}, binary: [['__proto__', 'x']] }],
    ['an invalid path', { value: {}, binary: [7] }],
  ])('are refused when they are %s', (_, data) => {
    expect(() => decodeWhole(data)).toThrow(TypeError);
  });

  it.each(['null', '7', '{"binary":[["a"]]}', 'x'])('are refused with the header %s', (meta) => {
    const message = { ...envelope, data: {}, headers: { [metaHeader]: meta } };
    let decoded: unknown;
    try {
      decoded = decodePlain(message, []);
    } catch (error) {
      decoded = error;
    }
    expect(decoded).toBeInstanceOf(Error);
  });

  it('are for the sockets of their rooms, except some', () => {
    expect(isFor(packet({ rooms: [] }), new Set(['a']))).toBe(true);
    expect(isFor(packet({ rooms: ['a', 'b'] }), new Set(['b']))).toBe(true);
    expect(isFor(packet({ rooms: ['a'] }), new Set(['b']))).toBe(false);
    expect(isFor(packet({ rooms: ['a'], except: ['b'] }), new Set(['a', 'b']))).toBe(false);
    expect(isFor(packet({ rooms: [], except: ['b'] }), new Set(['b']))).toBe(false);
  });
});

describe('JSON in a command', () => {
  it('has a depth that the server takes, and whole characters', () => {
    expect(fitsCommand('[[["]"]]]')).toBe(true);
    expect(fitsCommand(`${'['.repeat(24)}${']'.repeat(24)}`)).toBe(true);
    expect(fitsCommand(`${'['.repeat(25)}${']'.repeat(25)}`)).toBe(false);
    expect(fitsCommand(`"${'['.repeat(99)}"`)).toBe(true);
    expect(fitsCommand('"\\"[[[[[[[[[[[[[[[[[[[[[[[[[[["')).toBe(true);
    expect(fitsCommand('"\\ud800"')).toBe(false);
  });
});
