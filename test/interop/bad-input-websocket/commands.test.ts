import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { TestServer } from '../../../packages/server/test/transports/websocket/server.ts';
import { clientFrame, textFrame } from '../../clients/websocket/client-frames.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';

/** BAD-INPUT section 4: frames that are no commands. `id`: what the answer must give back. */
const cases: readonly { what: string; send: string | Buffer; code: string; id?: unknown }[] = [
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
  { what: 'an op nobody knows', send: '{"id":1,"op":"explode"}', code: 'unsupported', id: 1 },
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

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start();
});

afterAll(async () => {
  expect(server.errors).toEqual([]);
  expect(server.hub.head.seq).toBe(0);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  await server.stop();
});

describe.each(cases)('$what', ({ send, code, id }) => {
  const frame = textFrame(send);

  test.each(['whole', 'in writes of one byte'])('%s: is refused and the connection stays', async (how) => {
    const client = await RawClient.open(server.port, '/ws');
    if (how === 'whole' || frame.length > 1_000) client.write(frame);
    else await client.writeSlowly(frame);
    client.write(textFrame('{"id":"next","op":"ping"}'));
    await client.until(() => client.texts.length === 2);
    expect(JSON.parse(client.texts[0]!)).toEqual({
      ...(id === undefined ? {} : { id }),
      ok: false,
      error: { code, message: expect.any(String) },
    });
    expect(client.texts[1]).toBe('{"id":"next","ok":true}');
    client.destroy();
  });
});

test('too many in a row close with 1008, each of them answered', async () => {
  const client = await RawClient.open(server.port, '/ws');
  const bad = Array.from({ length: defaultLimits.badCommandsMax }, () => textFrame('{'));
  client.write(Buffer.concat([...bad, textFrame('{"id":1,"op":"publish","channel":"a","data":1}')]));
  await client.until(() => client.closeCode !== undefined);
  expect(client.closeCode).toBe(1008);
  expect(client.texts).toHaveLength(defaultLimits.badCommandsMax);
  client.destroy();
});

test('a good command between begins the count anew', async () => {
  const client = await RawClient.open(server.port, '/ws');
  for (let round = 0; round < 3; round += 1) {
    for (let at = 1; at < defaultLimits.badCommandsMax; at += 1) client.write(textFrame('{'));
    client.write(textFrame('{"id":1,"op":"ping"}'));
  }
  await client.until(() => client.texts.length === 3 * defaultLimits.badCommandsMax);
  expect(client.closeCode).toBeUndefined();
  client.destroy();
});

test('a binary frame closes with 1003', async () => {
  const client = await RawClient.open(server.port, '/ws');
  client.write(clientFrame({ opcode: 2, payload: Buffer.from('{"id":1,"op":"ping"}') }));
  await client.until(() => client.closeCode !== undefined);
  expect(client.closeCode).toBe(1003);
  client.destroy();
});
