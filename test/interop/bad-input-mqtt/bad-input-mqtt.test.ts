import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../../clients/mqtt/raw-client.ts';
import { rawConnect } from '../../clients/mqtt/raw-packets.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { tryAll } from '../../support/try-all.ts';
import { behind, cases, type MqttCase } from '../../cases/mqtt.ts';

/** Those that wait for the deadline do so together. */
const waitingTogetherMax = 64;
/** Of longer ones only the beginning is written byte by byte. */
const singleBytesUpTo = 400;

let server: TestServer;
let healthy: RawClient;
let runs = 0;

beforeAll(async () => {
  server = await startTestServer({ limits: { handshakeTimeoutMs: 3_000 } });
  healthy = (await RawClient.connected(server.mqtt!)).client;
  await healthy.subscribe('healthy');
});
afterAll(async () => {
  healthy.disconnect();
  await server.stop();
});

async function openCase({ version, isFirst }: MqttCase, url = server.mqtt!): Promise<RawClient> {
  const client = await RawClient.open(url, version);
  if (isFirst !== true) await client.connect();
  return client;
}

async function stored(channel: string): Promise<number> {
  const page = await (await fetch(`${server.url}/channels/${channel}`)).json();
  return (page as { messages: unknown[] }).messages.length;
}

const endsConnection = ({ answer }: MqttCase): boolean =>
  answer.kind === 'close' || answer.kind === 'connack' || answer.kind === 'disconnect';

async function expectAnswer(one: MqttCase, client: RawClient): Promise<void> {
  const { answer, version } = one;
  if (answer.kind === 'stays') {
    await client.settled();
    expect(client.packets).toEqual([]);
    return;
  }
  if (answer.kind === 'close') {
    await client.closed;
    expect(client.packets).toEqual([]);
    return;
  }
  const packet = await client.next(answer.kind);
  const codes = packet.type === 'suback' ? packet.reasonCodes : [packet.reasonCode];
  expect(codes).toEqual([answer.reasonCode]);
  const told = packet.properties.reasonString ?? '';
  expect(told).not.toMatch(/\bat .*:\d+|node_modules|packages\//);
  if (version === 4) expect(told).toBe('');
  if (endsConnection(one)) await client.closed;
  else await client.settled();
  expect(client.packets.filter(({ type }) => type !== 'pubrec')).toEqual([]);
}

async function expectHealth(): Promise<void> {
  healthy.publish('healthy', 'x');
  await healthy.take();
}

describe.each(cases)('$id $what', (one) => {
  test('whole, over TCP and over WebSocket', async () => {
    for (const url of [server.mqtt!, server.url]) {
      const client = await openCase(one, url);
      // A WebSocket message has a separate limit, which this case does not test.
      for (let at = 0; at < one.send.length; at += 8_000) client.write(one.send.subarray(at, at + 8_000));
      await expectAnswer(one, client);
      client.cut();
    }
    expect(await stored('case/bad')).toBe(0);
    await expectHealth();
  });

  test('a valid message behind it is not processed after a fatal error', async () => {
    const channel = `case/behind/${(runs += 1)}`;
    const client = await openCase(one);
    client.write(Buffer.concat([one.send, behind(one.version, channel)]));
    await expectAnswer(one, client);
    if (endsConnection(one)) expect(await stored(channel)).toBe(0);
    client.cut();
  });
});

test('every case in single bytes', async () => {
  await tryAll(cases, async (one) => {
    const client = await openCase(one);
    const { send } = one;
    const singles = send.length <= singleBytesUpTo ? send.length : singleBytesUpTo / 2;
    for (const byte of send.subarray(0, singles)) client.write(Buffer.of(byte));
    client.write(send.subarray(singles));
    await expectAnswer(one, client);
    client.cut();
  });
});

// Every place of every case is tried on the reader, in test/cases.
test('every case cut in the middle stores nothing, and waits for no longer than a deadline', async () => {
  await tryAll(
    cases,
    async (one) => {
      const client = await openCase(one);
      client.write(one.send.subarray(0, one.send.length / 2));
      // Before CONNECT the deadline ends it; afterwards the client may take its time, and is cut by us.
      if (one.isFirst !== true) {
        await client.turn();
        client.cut();
      }
      await client.closed;
    },
    waitingTogetherMax,
  );
  expect(await stored('case/bad')).toBe(0);
  await expectHealth();
});

describe('over time', () => {
  test('half a CONNECT is not waited for', async () => {
    const client = await RawClient.open(server.mqtt!);
    client.write(Buffer.from([0x10, 0x20, 0, 4]));
    await client.closed;
    expect(client.packets).toEqual([]);
  });

  test('a packet id that is in use for another message is refused in the acknowledgement', async () => {
    const { client } = await RawClient.connected(server.mqtt!);
    client.publish('in-use', 'first', { qos: 2, packetId: 5 });
    expect((await client.next('pubrec')).reasonCode).toBe(0);
    client.publish('in-use', 'second', { qos: 2, packetId: 5 });
    expect((await client.next('pubrec')).reasonCode).toBe(0x91);
    client.publish('in-use', 'third', { qos: 1, packetId: 5 });
    expect((await client.next('puback')).reasonCode).toBe(0x91);
    expect(await stored('in-use')).toBe(1);
    client.cut();
  });

  test.each([
    ['PUBCOMP for QoS 1', 1, 'pubcomp'],
    ['PUBREC for QoS 1', 1, 'pubrec'],
    ['PUBACK for QoS 2', 2, 'puback'],
  ] as const)('%s ends the connection', async (_what, qos, kind) => {
    for (const version of [4, 5] as const) {
      const { client } = await RawClient.connected(server.mqtt!, { version });
      const name = `wrong-ack/${version}/${kind}`;
      await client.subscribe(name, { qos });
      await healthy.deliver(name, 'x', { qos });
      const { packetId } = await client.next('publish');
      client.ack(kind, packetId);
      if (version === 5) expect((await client.next('disconnect')).reasonCode).toBe(0x82);
      await client.closed;
    }
  });
});

describe('over WebSocket', () => {
  test('a text frame ends the connection [MQTT-6.0.0-1]', async () => {
    const client = await RawClient.open(server.url);
    client.writeText('hello');
    await client.closed;
  });

  test('without the subprotocol the handshake is refused [MQTT-6.0.0-3]', async () => {
    const response = await fetch(`${server.url}/mqtt`);
    expect(response.status).toBeGreaterThanOrEqual(400);
    await expect(RawClient.open(server.url, 5, ['other'])).rejects.toThrow('400');
  });

  test('a packet over several frames, and several packets in one, are one stream [MQTT-6.0.0-2]', async () => {
    const client = await RawClient.open(server.url);
    for (const byte of rawConnect(5)) client.write(Buffer.of(byte));
    expect((await client.next('connack')).reasonCode).toBe(0);
    client.write(Buffer.from([0xc0, 0, 0xc0, 0, 0xc0, 0]));
    for (let count = 0; count < 3; count += 1) await client.next('pingresp');
    client.cut();
  });
});
