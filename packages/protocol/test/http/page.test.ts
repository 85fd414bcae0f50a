import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { payloadMember, writeEnvelope, type GapNotice } from '../../src/envelope.ts';
import { EverywireError } from '../../src/errors.ts';
import { readPage, writePage } from '../../src/http/page.ts';
import { problemOf, readProblem } from '../../src/http/problem.ts';

const cursor = '1abcdef.z.0123456789abcdef';
const envelope = (offset: number): string =>
  writeEnvelope(
    { channel: 'a', offset, cursor, id: 'i', timeMs: 0, type: 'text/plain' },
    payloadMember('text/plain', new TextEncoder().encode(`no ${offset}`)),
  );
const gaps = fc.array(
  fc.record<GapNotice>({
    channel: fc.string(),
    reason: fc.constantFrom('retention', 'deleted', 'restored', 'damaged'),
    cursor: fc.constant(cursor),
  }),
  { maxLength: 3 },
);

describe('a page', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 4 }), gaps, fc.boolean(), (offsets, missing, more) => {
        const parts = { cursor, gaps: missing, more };
        const page = readPage(JSON.parse(writePage(offsets.map(envelope), parts)))!;
        expect(page.messages.map(({ offset }) => offset)).toEqual(offsets);
        expect(page).toMatchObject({ cursor, continuity: missing.length === 0 ? 'exact' : 'gap' });
        expect(page.gaps).toEqual(missing);
        expect(page.more).toBe(more);
      }),
    );
  });

  it.each([
    ['no object', '[]'],
    ['no cursor', '{"messages":[]}'],
    ['no messages', '{"cursor":"c"}'],
    ['a message that is no envelope', '{"cursor":"c","messages":[{"channel":"a"}]}'],
    ['an invalid gap', '{"cursor":"c","messages":[],"gap":{}}'],
  ])('is not %s', (_what, text) => {
    expect(readPage(JSON.parse(text))).toBeUndefined();
  });

  it('is never more than a page or nothing, for any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(readPage(value)).toBeUndefined();
      }),
    );
  });
});

describe('a problem', () => {
  it('is read as a refusal', () => {
    const error = new EverywireError('bad_name', 'No.', { httpStatus: 404, pointers: ['/a'] });
    const problem = problemOf(error, '/channels/x');
    expect(problem).toEqual({
      type: '/problems/bad_name',
      title: error.row.title,
      status: 404,
      detail: 'No.',
      instance: '/channels/x',
      code: 'bad_name',
      errors: [{ detail: 'No.', pointer: '#/a' }],
    });
    expect(readProblem(problem)).toEqual({ code: 'bad_name', message: 'No.', httpStatus: 404 });
  });

  it('of a proxy may lack anything', () => {
    expect(readProblem({ title: 'Bad gateway' })).toEqual({
      code: undefined,
      message: 'Bad gateway',
      httpStatus: undefined,
    });
    for (const other of [null, [], '<html>', 1, undefined]) expect(readProblem(other)).toBeUndefined();
  });
});
