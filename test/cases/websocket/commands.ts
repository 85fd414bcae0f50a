/** BAD-INPUT section 4: a frame that is no command. */
export interface CommandCase {
  readonly what: string;
  readonly send: string;
  readonly code: string;
  /** What the answer must give back. */
  readonly id?: unknown;
}

export const commandCases: readonly CommandCase[] = [
  { what: 'no JSON', send: 'hello', code: 'malformed' },
  { what: 'an empty frame', send: '', code: 'malformed' },
  { what: 'half an object', send: '{"id":1,"op":', code: 'malformed' },
  { what: 'two objects', send: '{"id":1,"op":"ping"}{"id":2,"op":"ping"}', code: 'malformed' },
  { what: 'a byte order mark', send: '\ufeff{"id":1,"op":"ping"}', code: 'malformed' },
  { what: 'a name twice', send: '{"id":1,"op":"ping","op":"ping"}', code: 'malformed' },
  { what: 'a lone surrogate', send: '{"id":1,"op":"subscribe","channel":"\\ud800"}', code: 'malformed' },
  { what: '1e400', send: '{"id":1,"op":"publish","channel":"a","data":1e400}', code: 'malformed' },
  {
    what: 'depth 33',
    send: `{"id":1,"op":"publish","channel":"a","data":${'['.repeat(32)}${']'.repeat(32)}}`,
    code: 'malformed',
  },
  { what: '64 KiB of [', send: '['.repeat(65_536), code: 'malformed' },
  { what: 'an array', send: '[]', code: 'invalid' },
  { what: 'null', send: 'null', code: 'invalid' },
  { what: 'a number', send: '5', code: 'invalid' },
  { what: 'no id', send: '{"op":"ping"}', code: 'invalid' },
  { what: 'id null', send: '{"id":null,"op":"ping"}', code: 'invalid' },
  { what: 'an id that is an object', send: '{"id":{},"op":"ping"}', code: 'invalid' },
  { what: 'an id of 300 characters', send: `{"id":"${'x'.repeat(300)}","op":"ping"}`, code: 'invalid' },
  { what: 'no op', send: '{"id":1}', code: 'invalid', id: 1 },
  { what: 'op 5', send: '{"id":"a","op":5}', code: 'invalid', id: 'a' },
  { what: 'an unknown op', send: '{"id":1,"op":"explode"}', code: 'unsupported', id: 1 },
  { what: 'op __proto__', send: '{"id":1,"op":"__proto__"}', code: 'unsupported', id: 1 },
  { what: 'no channel', send: '{"id":1,"op":"subscribe"}', code: 'invalid', id: 1 },
  { what: 'channel 5', send: '{"id":1,"op":"subscribe","channel":5}', code: 'invalid', id: 1 },
  {
    what: 'after null',
    send: '{"id":1,"op":"subscribe","channel":"a","after":null}',
    code: 'invalid',
    id: 1,
  },
  { what: 'no data', send: '{"id":1,"op":"publish","channel":"a"}', code: 'invalid', id: 1 },
  {
    what: 'data and base64',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"base64":""}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'base64 cut',
    send: '{"id":1,"op":"publish","channel":"a","base64":"AAA"}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'base64url',
    send: '{"id":1,"op":"publish","channel":"a","base64":"__-_"}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'text that is a number',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"type":"text/plain"}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'headers in an array',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"headers":["a"]}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'a header that is a number',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"headers":{"a":1}}',
    code: 'invalid',
    id: 1,
  },
  {
    what: 'retain "yes"',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"retain":"yes"}',
    code: 'invalid',
    id: 1,
  },
  { what: 'ttl -1', send: '{"id":1,"op":"publish","channel":"a","data":1,"ttl":-1}', code: 'invalid', id: 1 },
  {
    what: 'ttl "soon"',
    send: '{"id":1,"op":"publish","channel":"a","data":1,"ttl":"soon"}',
    code: 'invalid',
    id: 1,
  },
  { what: 'no token', send: '{"id":1,"op":"auth"}', code: 'invalid', id: 1 },
];
