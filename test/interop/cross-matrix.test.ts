import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drivers } from '../drivers/index.ts';
import type { Outgoing } from '../drivers/driver.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const payloads: readonly (readonly [string, Outgoing])[] = [
  [
    'text',
    {
      type: 'text/plain',
      payload: Buffer.from('여기 hello\r\nline two\rthree\n\u0000\u2028\ufeff data: id: '),
    },
  ],
  [
    'json',
    { type: 'application/json', payload: Buffer.from('{"a":[1,"\\u0000\\n",null],"__proto__":{"x":1}}') },
  ],
  [
    'binary',
    { type: 'application/octet-stream', payload: Buffer.from(Array.from({ length: 256 }, (_, at) => at)) },
  ],
  ['text that is not UTF-8', { type: 'text/plain', payload: Buffer.from([0xff, 0xfe, 0xed, 0xa0, 0x80]) }],
  ['nothing', { type: 'text/plain', payload: Buffer.alloc(0) }],
  ['64 KiB', { type: 'text/plain', payload: Buffer.alloc(65_536, 'é') }],
  ['64 KiB of [', { type: 'text/plain', payload: Buffer.alloc(65_536, '[') }],
  [
    'the look of a frame',
    { type: 'text/plain', payload: Buffer.from('HTTP/1.1 200 OK\r\n\r\n\u0081\u0005hello\r\n0\r\n\r\n') },
  ],
];

describe('published on one transport, received on another', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterAll(() => server.stop());

  const publishers = drivers.filter(({ publish }) => publish !== undefined);
  const pairs = publishers.flatMap((from) => drivers.map((to) => ({ from, to })));

  it.each(pairs)('$from.name → $to.name', async ({ from, to }) => {
    const channel = `matrix/${from.name}/${to.name}`.replaceAll(' ', '-');
    const reader = await to.read(server.url, channel);
    for (const [name, message] of payloads) {
      const { offset, cursor } = await from.publish!(server.url, channel, {
        ...message,
        headers: { kind: name.replaceAll(/\W/g, '-') },
      });
      const received = await reader.next();
      expect(received, name).toMatchObject({ channel, offset, cursor, type: message.type });
      expect(received.headers, name).toEqual({ kind: name.replaceAll(/\W/g, '-') });
      expect(received.payload.equals(message.payload), name).toBe(true);
    }
    reader.close();
  });

  it.each(drivers.flatMap((from) => drivers.map((to) => ({ from, to }))))(
    'a reader leaves $from.name and goes on with $to.name',
    async ({ from, to }) => {
      const channel = `resume/${from.name}/${to.name}`.replaceAll(' ', '-');
      const publish = drivers[0]!.publish!;
      const first = await from.read(server.url, channel);
      for (const payload of ['1', '2', '3'])
        await publish(server.url, channel, { type: 'text/plain', payload: Buffer.from(payload) });
      await first.next();
      const { cursor } = await first.next();
      first.cut();
      // Half of them on one channel, half through a wildcard that matches it: a cursor is a place in the store.
      for (const filter of [channel, `resume/${from.name}/*`.replaceAll(' ', '-')]) {
        const second = await to.read(server.url, filter, { after: cursor });
        expect(second.continuity).toBe('exact');
        let message = await second.next();
        while (message.channel !== channel) message = await second.next();
        expect(message.payload.toString()).toBe('3');
        second.close();
      }
    },
  );
});
