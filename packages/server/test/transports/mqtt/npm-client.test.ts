import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { connect, startTestServer, ways, type TestServer } from './clients.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
});
afterAll(() => server.stop());

describe.each(ways)('$name', (way) => {
  test.each([0, 1, 2] as const)('publishes and receives at QoS %d', async (qos) => {
    const topic = `npm/${way.name}/${qos}`;
    const client = await connect(server, way);
    await client.mqtt.subscribeAsync(topic, { qos });
    for (let at = 0; at < 50; at += 1) await client.mqtt.publishAsync(topic, `message ${at}`, { qos });
    for (let at = 0; at < 50; at += 1) {
      const { payload, qos: received, dup, retain } = await client.next();
      expect(payload.toString()).toBe(`message ${at}`);
      expect({ received, dup, retain }).toEqual({ received: qos, dup: false, retain: false });
    }
    await client.mqtt.endAsync();
  });

  test.each([1, 2] as const)('takes many at once at QoS %d, in order', async (qos) => {
    const topic = `npm/many/${way.name}/${qos}`;
    const [reader, writer] = await Promise.all([connect(server, way), connect(server, way)]);
    await reader.mqtt.subscribeAsync(topic, { qos });
    // This client does not heed the receive maximum, which at QoS 2 only its own PUBRELs make room in.
    const atOnce = qos === 2 && way.protocolVersion === 5 ? 64 : 1_000;
    for (let from = 0; from < 1_000; from += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, 1_000 - from) }, (_, at) => String(from + at));
      await Promise.all(some.map((payload) => writer.mqtt.publishAsync(topic, payload, { qos })));
    }
    for (let at = 0; at < 1_000; at += 1) expect((await reader.next()).payload.toString()).toBe(String(at));
    await Promise.all([reader.mqtt.endAsync(), writer.mqtt.endAsync()]);
  });

  test.each([0, 1, 2] as const)('a session at QoS %d that was left resumes', async (qos) => {
    const topic = `npm/session/${way.name}/${qos}`;
    const options = {
      clientId: `client-${topic}`,
      clean: false,
      ...(way.protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
    };
    const first = await connect(server, way, options);
    expect(first.sessionPresent).toBe(false);
    await first.mqtt.subscribeAsync(topic, { qos });
    await first.mqtt.publishAsync(topic, 'here', { qos });
    expect((await first.next()).payload.toString()).toBe('here');
    await first.mqtt.endAsync();
    const writer = await connect(server, way);
    for (const payload of ['1', '2', '3']) await writer.mqtt.publishAsync(topic, payload, { qos });
    const second = await connect(server, way, options);
    expect(second.sessionPresent).toBe(true);
    if (qos > 0) {
      for (const payload of ['1', '2', '3']) expect((await second.next()).payload.toString()).toBe(payload);
    }
    await writer.mqtt.publishAsync(topic, 'back', { qos });
    expect((await second.next()).payload.toString()).toBe('back');
    expect(second.waiting).toEqual([]);
    await second.mqtt.endAsync();
    const third = await connect(server, way, { ...options, clean: true, properties: {} });
    expect(third.sessionPresent).toBe(false);
    await Promise.all([third.mqtt.endAsync(), writer.mqtt.endAsync()]);
  });

  test('gives the retained message, and takes it back', async () => {
    const topic = `npm/retained/${way.name}`;
    const writer = await connect(server, way);
    await writer.mqtt.publishAsync(topic, 'old', { qos: 1, retain: true });
    await writer.mqtt.publishAsync(topic, 'kept', { qos: 1, retain: true });
    const reader = await connect(server, way);
    await reader.mqtt.subscribeAsync(`npm/retained/+`, { qos: 1 });
    await reader.mqtt.subscribeAsync(topic, { qos: 1 });
    const texts = [];
    for (;;) {
      const { topic: from, payload, retain } = await reader.next();
      if (from !== topic) continue;
      expect(retain).toBe(true);
      texts.push(payload.toString());
      if (texts.length === 2) break;
    }
    expect(texts).toEqual(['kept', 'kept']);
    await writer.mqtt.publishAsync(topic, '', { qos: 1, retain: true });
    const empty = await reader.next();
    expect(empty.payload.length).toBe(0);
    const later = await connect(server, way);
    await later.mqtt.subscribeAsync(topic, { qos: 1 });
    await writer.mqtt.publishAsync(topic, 'live', { qos: 1 });
    expect(await later.next()).toMatchObject({ retain: false, payload: Buffer.from('live') });
    await Promise.all([writer, reader, later].map(({ mqtt }) => mqtt.endAsync()));
  });

  test.runIf(way.protocolVersion === 4).each([0, 1, 2] as const)(
    'a message that is too large at QoS %d is dropped, not sent again for ever',
    async (qos) => {
      const topic = `npm/large/${way.name}/${qos}`;
      const reader = await connect(server, way);
      await reader.mqtt.subscribeAsync(topic, { qos: 1 });
      // Like devices, the client sends unacknowledged messages again after a reconnect.
      const writer = await connect(server, way, { clean: false, clientId: topic, reconnectPeriod: 50 });
      let closes = 0;
      writer.mqtt.on('close', () => (closes += 1));
      const { payloadBytesMax } = defaultLimits;
      // One that the server reads whole, and one beyond the bound of packets and of WebSocket messages.
      for (const bytes of [payloadBytesMax + 1, 4 * payloadBytesMax])
        await writer.mqtt.publishAsync(topic, Buffer.alloc(bytes, 'x'), { qos });
      await writer.mqtt.publishAsync(topic, 'behind it', { qos });
      expect((await reader.next()).payload.toString()).toBe('behind it');
      expect(closes).toBe(0);
      await Promise.all([writer, reader].map(({ mqtt }) => mqtt.endAsync()));
    },
  );

  test('a will is published when the connection is lost, and not after a goodbye', async () => {
    const topic = `npm/will/${way.name}`;
    const reader = await connect(server, way);
    await reader.mqtt.subscribeAsync(topic, { qos: 1 });
    const will = { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false };
    const polite = await connect(server, way, { will });
    await polite.mqtt.endAsync();
    const lost = await connect(server, way, { will: { ...will, payload: Buffer.from('lost') } });
    lost.mqtt.stream.destroy();
    expect((await reader.next()).payload.toString()).toBe('lost');
    await reader.mqtt.endAsync();
  });
});
