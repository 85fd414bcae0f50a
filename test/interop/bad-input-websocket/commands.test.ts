import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { TestServer } from '../../../packages/server/test/transports/websocket/server.ts';
import { clientFrame, textFrame } from '../../clients/websocket/client-frames.ts';
import { commandCases, type CommandCase } from '../../cases/websocket/commands.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';
import { tryAll } from '../../support/try-all.ts';

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

async function expectRefusal({ send, code, id }: CommandCase, isSlow: boolean): Promise<void> {
  const frame = textFrame(send);
  const client = await RawClient.open(server.port, '/ws');
  if (isSlow) await client.writeSlowly(frame);
  else client.write(frame);
  client.write(textFrame('{"id":"next","op":"ping"}'));
  await client.until(() => client.texts.length === 2);
  expect(JSON.parse(client.texts[0]!)).toEqual({
    ...(id === undefined ? {} : { id }),
    ok: false,
    error: { code, message: expect.any(String) },
  });
  expect(client.texts[1]).toBe('{"id":"next","ok":true}');
  client.destroy();
}

test.each(commandCases)('$what: is refused and the connection stays', (one) => expectRefusal(one, false));

test('every case in writes of one byte', async () => {
  const short = commandCases.filter(({ send }) => send.length <= 1_000);
  await tryAll(short, (one) => expectRefusal(one, true));
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
