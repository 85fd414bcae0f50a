import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { TestServer } from '../../../packages/server/test/transports/websocket/server.ts';
import { RawClient } from '../../clients/websocket/raw-client.ts';
import { tryAll } from '../../support/try-all.ts';
import { autobahnFraming } from '../../cases/websocket/autobahn-framing.ts';
import { autobahnUtf8 } from '../../cases/websocket/autobahn-utf8.ts';
import { framingCases } from '../../cases/websocket/framing-cases.ts';
import { isFatal, ping, textFrame, type FrameCase } from '../../cases/websocket/frame-case.ts';

const cases = [
  ...autobahnFraming,
  ...autobahnUtf8,
  ...framingCases(defaultLimits.payloadBytesMax, defaultLimits.fragmentsMax),
];
/** Longer ones are written byte by byte only where headers and ends are. */
const everyByteUpTo = 160;
const togetherMax = 40;

let server: TestServer;
let healthy: RawClient;
let runs = 0;

beforeAll(async () => {
  server = await TestServer.start({ limits: { closeTimeoutMs: 1_000 } });
  healthy = await RawClient.open(server.port, '/channels/healthy');
});

afterAll(async () => {
  healthy.destroy();
  expect(server.errors).toEqual([]);
  await server.stop();
});

async function openCase(): Promise<{ client: RawClient; channel: string }> {
  const channel = `case/${(runs += 1)}`;
  return { client: await RawClient.open(server.port, `/channels/${channel}`), channel };
}

const described = ({ opcode, payload }: { opcode: number; payload: Buffer }) =>
  `${opcode} ${payload.length} ${payload.toString('hex').slice(0, 80)}`;
const dataOf = (client: RawClient) => client.frames.filter(({ opcode }) => opcode < 8).map(described);
const pongsOf = (client: RawClient) =>
  client.frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => payload);

/** What the case says comes back, and nothing else, and the connection as it is to be afterwards. */
async function expectAnswer(one: FrameCase, client: RawClient): Promise<void> {
  const echoes = one.echoes.map(described);
  if (isFatal(one)) {
    await client.until(() => client.isEnded);
    expect(client.closeCode).toBe(one.close);
    // What was published just before may be stored and not yet delivered when the connection ends.
    expect(echoes.slice(0, dataOf(client).length)).toEqual(dataOf(client));
  } else {
    const alive = Buffer.from('still there');
    client.write(ping(alive));
    await client.until(() => pongsOf(client).some((payload) => payload.equals(alive)));
    await client.until(() => dataOf(client).length >= one.echoes.length);
    expect(client.closeCode).toBeUndefined();
    expect(dataOf(client)).toEqual(echoes);
  }
  expect(pongsOf(client).slice(0, one.pongs?.length ?? 0)).toEqual(one.pongs ?? []);
}

async function expectStored(channel: string, count: number): Promise<void> {
  const identity = await server.hub.authenticate({ token: undefined, address: undefined });
  const sink = { deliver: () => true, notify: () => undefined, close: () => undefined };
  const session = server.hub.open(identity, { transport: 'test' }, sink);
  expect((await session.read(channel, undefined, 100)).messages).toHaveLength(count);
  session.end();
}

async function expectHealth(): Promise<void> {
  const before = healthy.frames.length;
  await server.publish('healthy', 'x');
  await healthy.until(() => healthy.frames.length > before);
}

describe.each(cases)('$id $what', (one) => {
  test('whole', async () => {
    const { client, channel } = await openCase();
    client.write(one.send);
    await expectAnswer(one, client);
    await expectStored(channel, one.echoes.length);
    await expectHealth();
    client.destroy();
  });
});

test('every case in writes of one byte', async () => {
  await tryAll(cases, async (one) => {
    const { client, channel } = await openCase();
    const { length } = one.send;
    if (length <= everyByteUpTo) await client.writeSlowly(one.send);
    else {
      await client.writeSlowly(one.send.subarray(0, 20));
      client.write(one.send.subarray(20, length - 20));
      await client.writeSlowly(one.send.subarray(length - 20));
    }
    await expectAnswer(one, client);
    await expectStored(channel, one.echoes.length);
    client.destroy();
  });
});

test('input after a fatal case is ignored', async () => {
  await tryAll(cases.filter(isFatal), async (one) => {
    const { client, channel } = await openCase();
    // Where an announced length is what breaks, its payload is what follows.
    client.write(Buffer.concat([one.send, textFrame('after the end'), ping('after the end')]));
    await expectAnswer(one, client);
    await expectStored(channel, one.echoes.length);
    client.destroy();
  });
});

// Every place of every case is tried on the reader, in test/cases.
test('every case cut in the middle, then the connection is closed: no more is stored than was whole', async () => {
  await tryAll(cases, async (one) => {
    const { client } = await openCase();
    client.socket.end(one.send.subarray(0, one.send.length / 2));
    await client.until(() => client.isEnded);
    const received = dataOf(client);
    expect(one.echoes.map(described).slice(0, received.length)).toEqual(received);
    if (client.closeCode !== undefined) expect(client.closeCode).toBe(one.close);
    client.destroy();
  });
  await expectHealth();
});

test('a thousand bad connections leave nothing behind', async () => {
  const fatal = cases.filter((one) => isFatal(one) && one.send.length < 1_000);
  const sessions = () => server.hub.figures.sessions.get('websocket');
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  while (sessions() !== 1) await new Promise(setImmediate);
  const before = sockets();
  for (let round = 0; round < 1_000; round += togetherMax) {
    await Promise.all(
      Array.from({ length: togetherMax }, async (_, at) => {
        const { client } = await openCase();
        client.write(fatal[(round + at) % fatal.length]!.send);
        await client.until(() => client.isEnded);
        client.destroy();
      }),
    );
  }
  while (sessions() !== 1 || sockets() > before) await new Promise(setImmediate);
  await expectHealth();
});
