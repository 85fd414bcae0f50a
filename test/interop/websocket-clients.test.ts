import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket as WsSocket } from 'ws';
import { startTestServer, type TestServer } from '../support/server.ts';

/** Other people's clients: `ws`, and the WebSocket of Node itself (undici), against a whole server. */

let server: TestServer;
let base: string;

beforeAll(async () => {
  server = await startTestServer({});
  base = server.url.replace('http', 'ws');
});

afterAll(() => server.stop());

interface Client {
  send(data: string | Buffer): void;
  /** The next message; text as a string. */
  next(): Promise<string | Buffer>;
  /** Closes, and resolves with code and reason as this client saw them. */
  close(code: number, reason: string): Promise<{ code: number; reason: string; wasClean: boolean }>;
  readonly protocol: string;
  readonly extensions: string;
}

class Inbox {
  readonly #messages: (string | Buffer)[] = [];
  readonly #waiting: ((message: string | Buffer) => void)[] = [];

  add(message: string | Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#messages.push(message);
    else waiting(message);
  }

  next(): Promise<string | Buffer> {
    const message = this.#messages.shift();
    return message === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(message);
  }
}

async function openWs(url: string, protocols: string[]): Promise<Client> {
  const inbox = new Inbox();
  // It offers permessage-deflate by default; the server has to decline that, or the client gives up.
  const socket = new WsSocket(url, protocols);
  socket.on('message', (data: Buffer, isBinary) => inbox.add(isBinary ? data : data.toString()));
  await once(socket, 'open');
  return {
    send: (data) => socket.send(data),
    next: () => inbox.next(),
    async close(code, reason) {
      const closed = once(socket, 'close');
      socket.close(code, reason);
      const [seenCode, seenReason] = (await closed) as [number, Buffer];
      return { code: seenCode, reason: seenReason.toString(), wasClean: true };
    },
    protocol: socket.protocol,
    extensions: socket.extensions,
  };
}

async function openUndici(url: string, protocols: string[]): Promise<Client> {
  const inbox = new Inbox();
  const socket = new WebSocket(url, protocols);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }) =>
    inbox.add(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer)),
  );
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error('undici could not connect')));
  });
  return {
    send: (data) => socket.send(typeof data === 'string' ? data : new Uint8Array(data)),
    next: () => inbox.next(),
    async close(code, reason) {
      const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
      socket.close(code, reason);
      const { code: seenCode, reason: seenReason, wasClean } = await closed;
      return { code: seenCode, reason: seenReason, wasClean };
    },
    protocol: socket.protocol,
    extensions: socket.extensions,
  };
}

describe.each([
  ['ws', openWs],
  ['undici', openUndici],
] as const)('%s', (name, open) => {
  test('a raw channel, text and binary, and a clean goodbye', async () => {
    const client = await open(`${base}/channels/interop/${name}`, []);
    expect([client.protocol, client.extensions]).toEqual(['', '']);
    client.send('안녕');
    expect(await client.next()).toBe('안녕');
    client.send(Buffer.from([0, 255]));
    expect(await client.next()).toEqual(Buffer.from([0, 255]));
    const large = 'x'.repeat(65_536);
    client.send(large);
    expect(await client.next()).toBe(large);
    expect(await client.close(4001, 'bye')).toMatchObject({ code: 4001, wasClean: true });
  });

  test('everywire.v1, resumed over HTTP', async () => {
    const client = await open(`${base}/ws`, ['everywire.v1']);
    expect(client.protocol).toBe('everywire.v1');
    const ask = async (command: object) => {
      client.send(JSON.stringify(command));
      return JSON.parse((await client.next()) as string) as Record<string, unknown>;
    };
    const channel = `interop/commands-${name}`;
    const { cursor } = await ask({ id: 1, op: 'subscribe', channel });
    const published = await fetch(`${server.url}/channels/${channel}`, { method: 'POST', body: 'from HTTP' });
    expect(published.status).toBe(201);
    expect(JSON.parse((await client.next()) as string)).toMatchObject({ op: 'message', data: 'from HTTP' });
    const page = await fetch(`${server.url}/channels/${channel}?after=${String(cursor)}`);
    expect(await page.json()).toMatchObject({ messages: [{ data: 'from HTTP' }], continuity: 'exact' });
    expect(await ask({ id: 2, op: 'ping' })).toEqual({ id: 2, ok: true });
    expect(await client.close(1000, '')).toMatchObject({ code: 1000, wasClean: true });
  });

  test('a large burst arrives complete and in order', async () => {
    const channel = `interop/burst-${name}`;
    const reader = await open(`${base}/channels/${channel}`, []);
    const writer = await open(`${base}/channels/${channel}`, []);
    const count = 3_000;
    for (let at = 0; at < count; at += 1) writer.send(String(at));
    for (let at = 0; at < count; at += 1) expect(await reader.next()).toBe(String(at));
    await Promise.all([reader.close(1000, ''), writer.close(1000, '')]);
  });
});

test('undici sees a refused subprotocol as a failed connection', async () => {
  await expect(openUndici(`${base}/ws`, ['chat'])).rejects.toThrow('could not connect');
});
