import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Listening, messagingClient, type StreamResponse } from '../clients/grpc/client.ts';
import { openGet } from '../clients/http/wire-client.ts';
import { drivers } from '../drivers/index.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** `since=last-n` counts the messages of everything that one request reads, in the order of the store. */

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({});
  for (const text of ['a1', 'b1', 'a2', 'a3', 'b2', 'c1', 'a4']) await publish(text);
});
afterAll(() => server.stop());

async function publish(text: string): Promise<void> {
  const response = await fetch(`${server.url}/channels/last/${text[0]}`, {
    method: 'POST',
    body: text,
    headers: { 'Content-Type': 'text/plain' },
  });
  expect(response.status).toBe(201);
}

describe.each(drivers.map((driver) => [driver.name, driver] as const))('%s', (_name, driver) => {
  it('begins a wildcard at the newest of all channels together', async () => {
    const reader = await driver.read(server, 'last/*', { since: 'last-4' });
    const texts: string[] = [];
    while (texts.length < 4) texts.push((await reader.next()).payload.toString());
    reader.close();
    expect(texts).toEqual(['a3', 'b2', 'c1', 'a4']);
  });
});

describe('several filters of one request', () => {
  const newest = ['a3', 'b2', 'a4'];
  const query = 'channel=last/a&channel=last/b&channel=last/a&since=last-3';

  it('are counted together in a page', async () => {
    const page = async (more: string): Promise<string[]> => {
      const response = await fetch(`${server.url}/stream?${query}${more}`, {
        headers: { Accept: 'application/json' },
      });
      return ((await response.json()) as { messages: { data: string }[] }).messages.map(({ data }) => data);
    };
    expect(await page('')).toEqual(newest);
    expect(await page('&wait=10s')).toEqual(newest);
    expect(await page('&limit=2')).toEqual(['a3', 'b2']);
  });

  it.each(['application/x-ndjson', 'text/event-stream'])('are counted together in %s', async (accept) => {
    const port = Number(new URL(server.url).port);
    await using client = await openGet(port, `/stream?${query}`, `Accept: ${accept}\r\n`);
    await client.until(({ received }) => received.includes('"a4"'));
    expect([...client.received.matchAll(/"data":"(\w+)"/g)].map((match) => match[1])).toEqual(newest);
  });

  it('are counted together by Subscribe of gRPC', async () => {
    const client = messagingClient(server.grpc!);
    const call = client.subscribe({ channels: ['last/a', 'last/b'], since: 'last-3' });
    const seen = new Listening<StreamResponse>(call);
    await seen.first(({ message }) => message !== undefined && message.data.toString() === 'a4');
    const texts = seen.responses.flatMap(({ message }) =>
      message === undefined ? [] : [message.data.toString()],
    );
    client.close();
    expect(texts).toEqual(newest);
  });
});
