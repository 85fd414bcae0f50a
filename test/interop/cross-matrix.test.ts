import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drivers } from '../drivers/index.ts';
import type { Outgoing, TransportDriver, Untold } from '../drivers/driver.ts';
import { pollDriver } from '../drivers/http.ts';
import { everywireDriver } from '../drivers/websocket.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** The references, against which every transport is tried with every payload: both tell all fields. */
const referencePublisher = pollDriver;
const referenceReader = everywireDriver;

interface Pair {
  readonly from: TransportDriver;
  readonly to: TransportDriver;
}

/**
 * What a pair is tried with. How a payload is read from a publisher, and how it is written to a reader, are two things
 * that do not know each other, so each transport needs all payloads once in each role; a pair needs one.
 */
function payloadsOf({ from, to }: Pair): typeof payloads {
  const isReferred = from === referencePublisher || to === referenceReader;
  return isReferred ? payloads : payloads.filter(([name]) => name === 'binary');
}

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
    const reader = await to.read(server, channel);
    for (const [name, message] of payloadsOf({ from, to })) {
      const headers = { kind: name.replaceAll(/\W/g, '-') };
      const { offset, cursor } = await from.publish!(server, channel, { ...message, headers });
      const received = await reader.next();
      expect(received.channel, name).toBe(channel);
      const untold = new Set([...fieldsOf(from.untoldByPublishers), ...fieldsOf(to.untoldToReaders)]);
      if (!untold.has('offset')) expect(received.offset, name).toBe(offset);
      if (!untold.has('cursor')) expect(received.cursor, name).toBe(cursor);
      if (!untold.has('type')) expect(received.type, name).toBe(message.type);
      if (!untold.has('headers')) expect(received.headers, name).toEqual(headers);
      expect(received.payload.equals(message.payload), name).toBe(true);
    }
    reader.close();
  });

  const leavers = drivers.filter(({ untoldToReaders }) => !fieldsOf(untoldToReaders).includes('cursor'));

  it.each(leavers.flatMap((from) => drivers.map((to) => ({ from, to }))))(
    'a reader leaves $from.name and continues with $to.name',
    async ({ from, to }) => {
      const channel = `resume/${from.name}/${to.name}`.replaceAll(' ', '-');
      const publish = drivers[0]!.publish!;
      const first = await from.read(server, channel);
      for (const payload of ['1', '2', '3'])
        await publish(server, channel, { type: 'text/plain', payload: Buffer.from(payload) });
      await first.next();
      const { cursor } = await first.next();
      first.cut();
      // Half of them on one channel, half through a wildcard that matches it: a cursor is a place in the store.
      for (const filter of [channel, `resume/${from.name}/*`.replaceAll(' ', '-')]) {
        const second = await to.read(server, filter, { after: cursor });
        expect(second.continuity).toBe('exact');
        let message = await second.next();
        while (message.channel !== channel) message = await second.next();
        expect(message.payload.toString()).toBe('3');
        second.close();
      }
    },
  );

  const stayers = drivers.filter((driver) => !leavers.includes(driver));
  it.skipIf(stayers.length > 0).each(stayers)(
    'a reader leaves $name ($untoldToReaders.reason, so it has no cursor to continue with)',
    () => expect.unreachable(),
  );
});

function fieldsOf(untold: Untold | undefined): Untold['fields'] {
  return untold?.fields ?? [];
}
