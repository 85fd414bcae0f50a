import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTokenServer, token, type TokenServer } from '../token-server.ts';
import { everything, shows } from './auth-clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

const limits = { publishesPerSecondMax: 50, publishesBurstMax: 10 };

let server: TokenServer;
beforeAll(async () => {
  server = await startTokenServer({ store: 'memory:', limits });
});
afterAll(() => server.stop());

/** Chunks of a few, as a client that is always too fast sends them. */
async function publishTooFast(client: RawClient, topic: string, qos: 0 | 1 | 2): Promise<void> {
  for (let chunk = 0; chunk < 6; chunk += 1) {
    for (let at = 0; at < 10; at += 1) client.publish(topic, `${chunk * 10 + at}`, { qos });
    // The next chunk is a separate read.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function published(topic: string, shown: string): Promise<string[]> {
  const response = await fetch(`${server.url}/channels/${topic}?since=earliest`, {
    headers: { Authorization: `Bearer ${shown}` },
  });
  const { messages } = (await response.json()) as { readonly messages: { readonly data: string }[] };
  return messages.map(({ data }) => data);
}

const all = Array.from({ length: 60 }, (_, at) => String(at));

describe.each([
  [4, 0],
  [4, 1],
  [4, 2],
  [5, 0],
] as const)('version %d at QoS %d, whose protocol cannot say that it is too fast', (version, qos) => {
  test('is read at its rate: nothing is lost, and it is not cut off', async () => {
    const shown = await token({ sub: `fast-${version}-${qos}`, ...everything });
    const topic = `pace/${version}/${qos}`;
    const { client } = await RawClient.connected(server.mqtt!, { version, ...shows(shown) });
    const startedMs = performance.now();
    await publishTooFast(client, topic, qos);
    await client.settled();
    // 50 beyond the burst, less one chunk that may be taken on credit.
    expect(performance.now() - startedMs).toBeGreaterThan(700);
    expect(await published(topic, shown)).toEqual(all);
    client.disconnect();
  });
});

test('version 5 above QoS 0 gets an answer', async () => {
  const shown = await token({ sub: 'told', ...everything });
  const { client } = await RawClient.connected(server.mqtt!, { version: 5, ...shows(shown) });
  await publishTooFast(client, 'pace/told', 1);
  await client.settled();
  const codes = client.packets.flatMap((packet) => (packet.type === 'puback' ? [packet.reasonCode] : []));
  expect(new Set(codes)).toEqual(new Set([0, 0x97]));
  expect(codes.filter((code) => code === 0)).toHaveLength((await published('pace/told', shown)).length);
  client.disconnect();
});

test('what came before a goodbye is stored before it, however slowly it is read', async () => {
  const shown = await token({ sub: 'leaves', ...everything });
  const options = { version: 4, clientId: 'leaves', cleanStart: false, ...shows(shown) } as const;
  const { client } = await RawClient.connected(server.mqtt!, options);
  for (const text of all) client.publish('pace/leaves', text, { qos: 2 });
  // DISCONNECT and the end of the stream are there before the first of them is stored.
  client.disconnect();
  await client.closed;
  expect(await published('pace/leaves', shown)).toEqual(all);
});
