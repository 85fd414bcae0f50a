import { connect as connectTcp } from 'node:net';
import { once } from 'node:events';
import { connectAsync } from 'mqtt';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startTestServer, type TestServer } from '../support/server.ts';

const text = 'text/plain; charset=utf-8';
const json = 'application/json';
const bytes = 'application/octet-stream';
const form = 'application/x-www-form-urlencoded';

interface Stored {
  readonly type: string;
  readonly data?: unknown;
  readonly base64?: string;
}

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ namespaces: { 'plain/**': { detectTypes: false } } });
});
afterAll(() => server.stop());

async function stored(channel: string): Promise<Stored> {
  const page = await fetch(`${server.url}/channels/${channel}`);
  const { messages } = (await page.json()) as { readonly messages: readonly Stored[] };
  const { type, data, base64 } = messages.at(-1)!;
  return { type, ...(base64 === undefined ? { data } : { base64 }) };
}

async function post(path: string, body: string | Uint8Array<ArrayBuffer>, type?: string): Promise<void> {
  const headers: Record<string, string> = type === undefined ? {} : { 'Content-Type': type };
  // `fetch` would add a type for a string.
  const bytesOfBody = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  expect((await fetch(`${server.url}${path}`, { method: 'POST', headers, body: bytesOfBody })).ok).toBe(true);
}

type Publish = (channel: string, payload: string) => Promise<void>;

/** Publishers that tell no type: each library's plainest call. */
const untold: readonly (readonly [string, Publish])[] = [
  ['HTTP', (channel, payload) => post(`/channels/${channel}`, payload)],
  ['curl -d', (channel, payload) => post(`/channels/${channel}`, payload, form)],
  [
    'MQTT 3.1.1',
    async (channel, payload) => {
      const client = await connectAsync(server.mqtt!, { protocolVersion: 4 });
      await client.publishAsync(channel, payload, { qos: 1 });
      await client.endAsync();
    },
  ],
  [
    'MQTT 5',
    async (channel, payload) => {
      const client = await connectAsync(server.mqtt!, { protocolVersion: 5 });
      await client.publishAsync(channel, payload, { qos: 1 });
      await client.endAsync();
    },
  ],
  [
    'STOMP',
    async (channel, payload) => {
      const socket = connectTcp(Number(new URL(server.stomp!).port), '127.0.0.1');
      socket.write('CONNECT\naccept-version:1.2\nhost:x\n\n\0');
      socket.write(`SEND\ndestination:/${channel}\nreceipt:r\n\n${payload}\0`);
      let received = '';
      while (!received.includes('RECEIPT')) received += String((await once(socket, 'data'))[0]);
      socket.destroy();
    },
  ],
  [
    'a raw WebSocket',
    async (channel, payload) => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/channels/${channel}`);
      await once(socket, 'open');
      socket.send(payload);
      // Its own message comes back.
      await once(socket, 'message');
      socket.terminate();
    },
  ],
];

describe.each(untold)('a payload without a type, by %s', (name, publish) => {
  const channelOf = (kind: string): string => `${kind}/${name.replaceAll(/\W/g, '-')}`;

  it('is JSON if it is a JSON object or array, and text otherwise', async () => {
    const channel = channelOf('told');
    await publish(channel, '{"t": 21.50}');
    expect(await stored(channel)).toEqual({ type: json, data: { t: 21.5 } });
    await publish(channel, '[1]');
    expect(await stored(channel)).toEqual({ type: json, data: [1] });
    await publish(channel, '21.5');
    expect(await stored(channel)).toEqual({ type: text, data: '21.5' });
    await publish(channel, '{"broken');
    expect(await stored(channel)).toEqual({ type: text, data: '{"broken' });
  });

  it('is not looked at where its namespace says so', async () => {
    const channel = channelOf('plain');
    await publish(channel, '{"t":1}');
    expect((await stored(channel)).type).toBe(name === 'a raw WebSocket' ? text : bytes);
  });
});

it('a form stays a form, and a told type stays', async () => {
  await post('/channels/form', 'a=1&b=%ED%95%9C', form);
  expect(await stored('form')).toEqual({ type: form, data: 'a=1&b=%ED%95%9C' });
  await post('/channels/form', '{"a":1}', 'text/plain');
  expect(await stored('form')).toEqual({ type: 'text/plain', data: '{"a":1}' });
  await post('/channels/form', Uint8Array.of(0xff));
  expect(await stored('form')).toEqual({ type: bytes, base64: '/w==' });
});

/** Wires whose clients publish a JSON value. */
const strings: readonly (readonly [
  string,
  (channel: string, data: unknown, type?: string) => Promise<void>,
])[] = [
  [
    'POST /publish',
    (channel, data, type) => post('/publish', JSON.stringify([{ channel, data, type }]), json),
  ],
  [
    '/ws',
    async (channel, data, type) => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, 'everywire.v1');
      await once(socket, 'open');
      socket.send(JSON.stringify({ id: 1, op: 'publish', channel, data, type }));
      expect(JSON.parse(String((await once(socket, 'message'))[0]))).toMatchObject({ ok: true });
      socket.terminate();
    },
  ],
  [
    'Socket.IO',
    async (channel, data, type) => {
      const socket = io(server.url, { transports: ['websocket'], forceNew: true });
      const answer: unknown = await socket.emitWithAck(
        'publish',
        channel,
        data,
        type === undefined ? {} : { type },
      );
      expect(answer).toMatchObject({ ok: true });
      socket.disconnect();
    },
  ],
];

describe.each(strings)('a string by %s', (name, publish) => {
  const channel = `string/${name.replaceAll(/\W/g, '-')}`;

  it('is text, without its quotes on a wire of bytes', async () => {
    const reader = await connectAsync(server.mqtt!);
    await reader.subscribeAsync(channel);
    const received = once(reader as never, 'message') as Promise<[string, Buffer]>;
    await publish(channel, 'say "hi"\n한');
    expect((await received)[1].toString()).toBe('say "hi"\n한');
    expect(await stored(channel)).toEqual({ type: text, data: 'say "hi"\n한' });
    await reader.endAsync();
  });

  it('is JSON if its type says so, as other values are', async () => {
    await publish(channel, 'hi', json);
    expect(await stored(channel)).toEqual({ type: json, data: 'hi' });
    await publish(channel, 21.5);
    expect(await stored(channel)).toEqual({ type: json, data: 21.5 });
    await publish(channel, { text: 'hi' });
    expect(await stored(channel)).toEqual({ type: json, data: { text: 'hi' } });
  });
});
