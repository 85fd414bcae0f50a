import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messagingClient, StreamClient } from '../../../../test/clients/grpc/client.ts';
import { RawClient } from '../../../../test/clients/mqtt/raw-client.ts';
import { StompClient } from '../../../../test/clients/stomp/client.ts';
import { startTestServer, type TestServer } from '../../../../test/support/server.ts';

/** One message that is never acknowledged does not stop what comes behind it, on any transport that acknowledges. */

const count = 600;
const windowMessages = 8;
const all = Array.from({ length: count }, (_, at) => String(at));

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    store: 'memory:',
    limits: { mqttInFlightMax: windowMessages, groupSpanMessagesMax: 2 * windowMessages },
  });
});
afterAll(() => server.stop());

async function publishAll(channel: string): Promise<void> {
  const { client } = await RawClient.connected(server.mqtt!, { version: 4 });
  for (const payload of all) await client.deliver(channel, payload, { qos: 1 });
  client.disconnect();
}

/** Takes messages until there are `count`, and acknowledges all but the first. */
async function takeAllButFirst(client: RawClient): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const { payload, packetId } = await client.next('publish');
    if (texts.length > 0) client.ack('puback', packetId);
    texts.push(payload.toString());
  }
  return texts;
}

describe.each([4, 5] as const)('MQTT version %d', (version) => {
  test('a subscription', async () => {
    const session = {
      version,
      clientId: `one-${version}`,
      cleanStart: false,
      ...(version === 5 ? { properties: { sessionExpiryIntervalSeconds: 3_600 } } : {}),
    };
    const topic = `mqtt/${version}`;
    const { client } = await RawClient.connected(server.mqtt!, session);
    await client.subscribe(topic, { qos: 1 });
    const [texts] = await Promise.all([takeAllButFirst(client), publishAll(topic)]);
    expect(texts).toEqual(all);
    client.disconnect();
    await client.closed;

    // Its session knows all that was acknowledged behind the gap.
    const { client: again } = await RawClient.connected(server.mqtt!, session);
    expect(await again.take()).toMatchObject({ dup: true, payload: Buffer.from('0') });
    await again.deliver(topic, 'new', { qos: 1 });
    expect(await again.take()).toMatchObject({ dup: false, payload: Buffer.from('new') });
    again.disconnect(0, version === 5 ? { sessionExpiryIntervalSeconds: 0 } : {});
  });

  test('a shared subscription', async () => {
    const topic = `shared/${version}`;
    const { client } = await RawClient.connected(server.mqtt!, { version });
    await client.subscribe(`$share/g/${topic}`, { qos: 1 });
    const [texts] = await Promise.all([takeAllButFirst(client), publishAll(topic)]);
    expect(texts).toEqual(all);
    client.disconnect();
  });
});

test.each([
  { destination: '/topic/stomp', ack: 'client-individual' },
  { destination: '/queue/stomp', ack: 'client-individual' },
])('STOMP, $destination', async ({ destination, ack }) => {
  const client = await StompClient.open(server.stomp!);
  await client.connect();
  await client.ask('SUBSCRIBE', { id: 's', destination, ack, 'prefetch-count': String(windowMessages) });
  const published = publishAll(destination.slice(1));
  const texts: string[] = [];
  while (texts.length < count) {
    const { headers, body } = await client.next();
    if (texts.length > 0) client.send('ACK', { id: headers['ack']! });
    texts.push(body.toString());
  }
  await published;
  expect(texts).toEqual(all);
  client.cut();
});

test('gRPC', async () => {
  const client = messagingClient(server.grpc!);
  const stream = new StreamClient(client);
  const { id } = await stream.ask({
    subscribe: { channel: 'grpc', acknowledge: true, window: windowMessages },
  });
  const published = publishAll('grpc');
  const messages = () => stream.responses.filter(({ kind }) => kind === 'message');
  for (let at = 0; at < count; at += 1) {
    await stream.until(() => messages().length > at);
    const { cursor } = messages()[at]!.message!;
    if (at > 0) stream.send({ ack: { subscription: id!, cursor, only: true } }, '0');
  }
  await published;
  expect(stream.payloads(id!)).toEqual(all);
  stream.cancel();
  client.close();
});
