import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCommand, writeCommand, type Command } from '../../src/everywire-v1/commands.ts';

const limits = { jsonDepthMax: 32 };
const text = fc.string({ unit: 'grapheme' });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const id = fc.oneof(
  fc.integer().map(String),
  text.map((one) => JSON.stringify(one.slice(0, 20).toWellFormed())),
);
const json = fc
  .jsonValue({ stringUnit: 'grapheme', maxDepth: 5, noNullPrototype: true } as fc.JsonSharedConstraints)
  .map((value) => JSON.stringify(value));

const payload = fc.oneof(
  fc.record({
    payload: fc.record({ kind: fc.constant('json' as const), text: json }),
    type: fc.constantFrom('application/json', 'application/problem+json'),
  }),
  fc.record({
    payload: fc.record({ kind: fc.constant('text' as const), text }),
    type: fc.constantFrom('text/plain', 'application/octet-stream'),
  }),
  fc.record({
    payload: fc.record({ kind: fc.constant('base64' as const), base64: fc.base64String() }),
    type: fc.constantFrom('application/octet-stream', 'application/json', 'image/png'),
  }),
);
const publication = fc
  .tuple(
    payload,
    fc.record({
      event: optional(text),
      headers: optional(
        fc
          .dictionary(
            text.filter((name) => name !== '__proto__'),
            text,
          )
          .map((record) => new Map(Object.entries(record))),
      ),
      key: optional(text),
      retain: optional(fc.boolean()),
      ttlMs: optional(fc.nat(999_999_999_999)),
    }),
  )
  .map(([one, more]) => ({ ...one, ...more }));

const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    op: fc.constant('subscribe' as const),
    id,
    channel: text,
    after: optional(text),
    since: optional(text),
  }),
  fc.record({ op: fc.constant('publish' as const), id, channel: text, publication }),
  fc.record({ op: fc.constant('unsubscribe' as const), id, channel: text }),
  fc.record({ op: fc.constant('auth' as const), id, token: text }),
  fc.record({ op: fc.constant('ping' as const), id }),
);

describe('commands', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(commands, (command) => {
        expect(parseCommand(writeCommand(command), limits)).toEqual(command);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are a refusal with any place cut off or changed, or another command, but never throw', () => {
    const broken = fc.tuple(commands, fc.nat(), fc.nat(3), fc.constantFrom('', '"', '{', ',', '\\', '0'));
    fc.assert(
      fc.property(broken, ([command, at, length, inserted]) => {
        const written = writeCommand(command);
        const place = at % (written.length + 1);
        const changed = written.slice(0, place) + inserted + written.slice(place + length);
        const read = parseCommand(changed, limits);
        if (read.op === 'bad') expect(read.error.message).toMatch(/\.$/);
        if (read.id !== undefined) JSON.parse(read.id);
      }),
    );
  });

  it('of any text are a command or a refusal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (anything) => {
        expect(parseCommand(anything, limits).op).toBeTypeOf('string');
      }),
    );
  });
});
