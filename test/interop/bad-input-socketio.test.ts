import { request } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { textFrame, clientFrame } from '../clients/websocket/client-frames.ts';
import { handshakeText, RawClient } from '../clients/websocket/raw-client.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { tryAll } from '../support/try-all.ts';
import { packetCases, requestCases, type Packet, type RequestCase } from '../cases/socketio.ts';
import { IoClient, post } from './socketio-client.ts';
import { Poller } from './socketio-poller.ts';

/** How long a peer may take to authenticate, in these tests. */
const handshakeTimeoutMs = 3_000;
const canary = 'bad-input/canary';
const publishCanary = `42["publish","${canary}","must not be read"]`;

let server: TestServer;
let healthy: IoClient;
const problems: unknown[] = [];
const note = (problem: unknown): unknown => problems.push(problem);

beforeAll(async () => {
  process.on('unhandledRejection', note);
  server = await startTestServer({ limits: { handshakeTimeoutMs } });
  healthy = await IoClient.connect(server.url);
  await healthy.command('subscribe', 'bad-input/healthy');
});
afterAll(async () => {
  healthy.close();
  await server.stop();
  process.off('unhandledRejection', note);
});

/** BAD-INPUT 0, after every case: others are served, and nothing was stored that was not accepted. */
afterEach(async () => {
  const before = healthy.arrived.length;
  await post(server.url, 'bad-input/healthy', 'still there');
  await healthy.until(before + 1);
  expect(await storedIn(canary)).toBe(0);
  expect(problems).toEqual([]);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

async function storedIn(channel: string): Promise<number> {
  const page = (await (await fetch(`${server.url}/channels/${channel}?since=earliest`)).json()) as {
    readonly messages: readonly unknown[];
  };
  return page.messages.length;
}

const port = (): number => Number(new URL(server.url).port);
const path = '/socket.io/?EIO=4&transport=websocket';

async function openWebSocket(isFirst = false): Promise<RawClient> {
  const client = await RawClient.open(port(), path);
  await client.until(() => client.texts.length > 0);
  if (isFirst) return client;
  client.write(textFrame('40'));
  await client.until(() => client.texts.some((text) => text.startsWith('40')));
  return client;
}

const framesOf = (packets: readonly Packet[]): Buffer =>
  Buffer.concat(
    packets.map((packet) =>
      typeof packet === 'string' ? textFrame(packet) : clientFrame({ opcode: 2, payload: packet }),
    ),
  );

/** The server is done with what came before once it answers this. */
async function isServed(client: RawClient): Promise<void> {
  client.write(textFrame('42987["unsubscribe","never"]'));
  await client.until(() => client.texts.some((text) => text.startsWith('43987[')));
}

describe('packets by WebSocket', () => {
  describe.each(packetCases)('$what', ({ send, isFatal, isFirst }) => {
    test('whole, with a valid event behind', async () => {
      const client = await openWebSocket(isFirst);
      if (isFatal) {
        client.write(Buffer.concat([framesOf(send), textFrame(publishCanary)]));
        await client.until(() => client.closeCode !== undefined);
        expect(client.closeCode).toBe(1002);
        expect(client.closeReason).not.toMatch(/\/|\.ts|\bat \w+ \(/);
      } else {
        client.write(framesOf(send));
        await isServed(client);
        expect(client.closeCode).toBeUndefined();
      }
      client.destroy();
    });
  });

  test('every case in writes of one byte (not where that is all it would test)', async () => {
    const short = packetCases.filter(({ send }) => framesOf(send).length <= 2_000);
    await tryAll(short, async ({ send, isFatal, isFirst }) => {
      const client = await openWebSocket(isFirst);
      await client.writeSlowly(framesOf(send));
      if (isFatal) {
        await client.until(() => client.closeCode !== undefined);
        expect(client.closeCode).toBe(1002);
      } else await isServed(client);
      client.destroy();
    });
  });

  // Every place of every case is tried on the reader, in test/cases.
  test('every case cut in the middle', async () => {
    await tryAll(packetCases, async ({ send, isFirst }) => {
      const client = await openWebSocket(isFirst);
      const bytes = framesOf(send);
      client.write(bytes.subarray(0, bytes.length / 2));
      client.socket.end();
      await client.until(() => client.isEnded);
      client.destroy();
    });
  });
});

describe('packets by polling', () => {
  const toPayload = (packets: readonly Packet[]): string =>
    packets
      .map((packet) => (typeof packet === 'string' ? packet : `b${packet.toString('base64')}`))
      .join('\x1e');

  async function openPoller(isFirst = false): Promise<Poller> {
    if (!isFirst) return Poller.connect(server.url);
    const poller = new Poller(server.url);
    const { body } = await poller.request('GET', '');
    poller.sid = (JSON.parse(body.slice(1)) as { readonly sid: string }).sid;
    return poller;
  }

  const cases = packetCases.filter(
    ({ isFrame, send }) => isFrame !== true && toPayload(send).length < 140_000,
  );
  test.each(cases)('$what, with a valid event behind', async ({ send, isFatal, isFirst }) => {
    const poller = await openPoller(isFirst);
    const { sid } = poller;
    const payload = isFatal ? `${toPayload(send)}\x1e${publishCanary}` : toPayload(send);
    const { status } = await poller.request('POST', `&sid=${sid}`, payload);
    if (isFatal) {
      expect([200, 400]).toContain(status);
      expect((await poller.request('POST', `&sid=${sid}`, '3')).status).toBe(400);
    } else {
      expect(status).toBe(200);
      expect((await poller.request('POST', `&sid=${sid}`, '3')).status).toBe(200);
    }
  });
});

interface Answered {
  readonly status: number;
  readonly body: string;
}

function send(one: RequestCase, sid: string): Promise<Answered> {
  const { method = 'GET', query, headers = [], body, isChunked } = one;
  return new Promise((resolve, reject) => {
    const asked = request(`${server.url}/socket.io/?${query.replace('SID', sid)}`, { method, agent: false });
    if (body !== undefined && isChunked !== true) asked.setHeader('Content-Length', Buffer.byteLength(body));
    for (const header of headers) {
      const [name, value] = header.split(': ');
      asked.setHeader(name!, value!);
    }
    asked.on('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

describe('requests', () => {
  test.each(requestCases)('$what', async (one) => {
    const poller = await Poller.connect(server.url);
    const { status, body } = await send(one, poller.sid);
    expect(status).toBe(one.status);
    if (one.code !== undefined) expect(JSON.parse(body)).toMatchObject({ code: one.code });
    expect(body).not.toMatch(/\/work|node_modules|\.ts/);
    const after = await poller.request('POST', `&sid=${poller.sid}`, '3');
    expect(after.status).toBe(one.endsSession === true ? 400 : 200);
  });

  test('are closed when they come slowly, cut anywhere, or byte by byte', async () => {
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n40`;
    const answers = [];
    for (let length = 1; length <= head.length; length += 9) {
      const socket = connect(port(), '127.0.0.1');
      socket.on('error', () => socket.destroy());
      socket.write(head.slice(0, length));
      answers.push(once(socket.resume(), 'close'));
    }
    const slow = connect(port(), '127.0.0.1');
    for (const char of head) {
      slow.write(char);
      await new Promise(setImmediate);
    }
    const [answer] = (await once(slow, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
    slow.destroy();
    await Promise.all(answers);
  });

  test('a second poll at a time ends the session; so does a second POST', async () => {
    const poller = await Poller.connect(server.url);
    const first = poller.request('GET', `&sid=${poller.sid}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await poller.request('GET', `&sid=${poller.sid}`)).status).toBe(400);
    expect(await first).toEqual({ status: 200, body: '1' });
    expect((await poller.request('GET', `&sid=${poller.sid}`)).status).toBe(400);

    const other = await Poller.connect(server.url);
    const half = connect(port(), '127.0.0.1');
    half.write(
      `POST /socket.io/?EIO=4&transport=polling&sid=${other.sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n4`,
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await other.request('POST', `&sid=${other.sid}`, '3')).status).toBe(400);
    expect((await other.request('GET', `&sid=${other.sid}`)).status).toBe(400);
    half.destroy();
  });
});

describe('WebSockets', () => {
  test('of an unknown session, of no version, of another page are refused', async () => {
    const refused = async (query: string, headers: readonly string[] = []): Promise<string> => {
      const client = await RawClient.dial(port());
      client.write(Buffer.from(handshakeText(`/socket.io/?${query}`, headers)));
      await client.until(() => client.isEnded);
      return `${client.status} ${client.body.toString()}`;
    };
    expect(await refused('EIO=4&transport=websocket&sid=aaaaaaaaaaaaaaaaaaaa')).toMatch(/^400 \{"code":1,/);
    expect(await refused('transport=websocket')).toMatch(/^400 \{"code":5,/);
    expect(await refused('EIO=3&transport=websocket')).toMatch(/^400 \{"code":5,/);
    expect(await refused('EIO=4')).toMatch(/^400 \{"code":0,/);
    expect(await refused('EIO=4&transport=websocket', ['Origin: http://elsewhere.example'])).toMatch(/^403 /);
  });

  test('a second one for a session is closed, and so is one that never upgrades; polling survives', async () => {
    const poller = await Poller.connect(server.url);
    const open = (): Promise<RawClient> => RawClient.open(port(), `${path}&sid=${poller.sid}`);
    const first = await open();
    const second = await open();
    await second.until(() => second.closeCode !== undefined);
    expect(second.closeCode).toBe(1002);
    first.write(textFrame('2probe'));
    await first.until(() => first.texts.includes('3probe'));
    // Without the upgrade it is closed when the time for it is over.
    await first.until(() => first.closeCode !== undefined);
    expect(first.closeCode).toBe(1002);
    for (const packet of ['5', '3probe', '40', '']) {
      const other = await open();
      other.write(textFrame(packet));
      await other.until(() => other.closeCode !== undefined);
      expect(other.closeCode).toBe(1002);
    }
    const acked = await poller.emit('subscribe', 'bad-input/polling');
    expect((await poller.poll()).join()).toContain(acked);
  });

  test('a client that does not CONNECT in time is closed, by WebSocket and by polling', async () => {
    const client = await openWebSocket(true);
    const poller = new Poller(server.url);
    const { body } = await poller.request('GET', '');
    const { sid } = JSON.parse(body.slice(1)) as { readonly sid: string };
    expect(await poller.request('GET', `&sid=${sid}`)).toEqual({ status: 200, body: '1' });
    await client.until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(1008);
  });
});

test('a channel, a filter and a namespace of any odd name are that name, and nothing else', async () => {
  const client = await IoClient.connect(server.url);
  for (const name of [
    '',
    '/',
    '//',
    '..',
    '%2f',
    '__proto__',
    'constructor',
    'é',
    'e\u0301',
    '\u2028',
    '#x'.slice(1),
  ]) {
    const channel = `bad-input/odd/${name}`;
    expect(await client.command('subscribe', channel)).toMatchObject({ ok: true });
    const before = client.arrived.length;
    expect(await client.command('publish', channel, name)).toMatchObject({ ok: true, offset: 1 });
    await client.until(before + 1);
    expect(client.arrived[before]).toMatchObject({ data: name, meta: { channel } });
  }
  client.close();
});
