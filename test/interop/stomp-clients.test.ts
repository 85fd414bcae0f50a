/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment, @typescript-eslint/no-misused-spread --
   the library declares plain options and headers as classes */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Client, Versions, type IMessage, type StompHeaders } from '@stomp/stompjs';
import type { Envelope } from '@everywire/protocol';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Inbox } from '../drivers/inbox.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { describeInChromium, launchChromium } from './chromium.ts';
import { channel as restartChannel, surviveRestart } from './restart-scenario.ts';

/** What a page loads by a script element. */
const bundle = createRequire(import.meta.url).resolve('@stomp/stompjs');

const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.deactivate({ force: true })));
});

interface Connected {
  readonly client: Client;
  /** Frames that end or answer something: ERROR bodies and codes. */
  readonly errors: Inbox<string>;
}

async function connect(
  http: string,
  more: Partial<ConstructorParameters<typeof Client>[0]> = {},
): Promise<Connected> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const errors = new Inbox<string>();
  const client = new Client({
    webSocketFactory: () =>
      new WebSocket(`${http.replace('http', 'ws')}/stomp`, ['v12.stomp', 'v11.stomp', 'v10.stomp']),
    reconnectDelay: 0,
    onConnect: () => resolve(undefined),
    onStompError: ({ headers }) => errors.push(headers['message']!),
    ...more,
  });
  clients.push(client);
  client.activate();
  await promise;
  return { client, errors };
}

/** Resolves once the server has answered. */
function receipt(client: Client, ask: (headers: StompHeaders) => void): Promise<void> {
  const id = `receipt-${Math.random()}`;
  return new Promise((resolve) => {
    client.watchForReceipt(id, () => resolve());
    ask({ receipt: id });
  });
}

async function subscribe(
  client: Client,
  destination: string,
  headers: StompHeaders = {},
): Promise<{ inbox: Inbox<IMessage>; unsubscribe: () => void }> {
  const inbox = new Inbox<IMessage>();
  let unsubscribe = (): void => undefined;
  await receipt(client, (asked) => {
    const subscription = client.subscribe(destination, (message) => inbox.push(message), {
      ...headers,
      ...asked,
    });
    unsubscribe = () => subscription.unsubscribe();
  });
  return { inbox, unsubscribe };
}

describe('@stomp/stompjs in Node', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ limits: { stompBeatMsMin: 50 } });
  });
  afterAll(() => server.stop());

  it.each([
    ['1.0', new Versions([Versions.V1_0])],
    ['1.1', new Versions([Versions.V1_1])],
    ['1.2', new Versions([Versions.V1_2])],
  ])('publishes and reads text, binary and headers in %s', async (version, stompVersions) => {
    const { client } = await connect(server.url, { stompVersions });
    expect(client.connectedVersion).toBe(version);
    const destination = `/topic/stompjs-${version.replace('.', '-')}`;
    const { inbox } = await subscribe(client, destination);
    // The library escapes in 1.2 only, also where 1.1 asks for it.
    const lang = version === '1.2' ? 'ko:\\KR' : 'ko';
    client.publish({ destination, body: '여기\nhello: \\', headers: { lang } });
    const text = await inbox.next();
    expect(text.body).toBe('여기\nhello: \\');
    expect(text.headers).toMatchObject({ destination, lang, offset: '1' });
    const bytes = Uint8Array.from([0, 1, 255, 0]);
    client.publish({
      destination,
      binaryBody: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    });
    expect([...(await inbox.next()).binaryBody]).toEqual([...bytes]);
  });

  it('acknowledges, gives back, and commits', async () => {
    const { client } = await connect(server.url);
    const destination = '/topic/stompjs-acks';
    const { inbox } = await subscribe(client, destination, {
      ack: 'client-individual',
      'prefetch-count': '1',
    });
    const transaction = client.begin();
    for (const body of ['1', '2'])
      client.publish({ destination, body, headers: { transaction: transaction.id } });
    transaction.commit();
    const first = await inbox.next();
    first.nack();
    const again = await inbox.next();
    expect([again.body, again.headers['redelivered']]).toEqual(['1', 'true']);
    again.ack();
    expect((await inbox.next()).body).toBe('2');
  });

  it('unsubscribes, and disconnects with a receipt', async () => {
    const { client } = await connect(server.url);
    const { inbox, unsubscribe } = await subscribe(client, '/topic/stompjs-left');
    const other = await subscribe(client, '/topic/stompjs-left');
    unsubscribe();
    client.publish({ destination: '/topic/stompjs-left', body: 'x' });
    expect((await other.inbox.next()).body).toBe('x');
    inbox.end(new Error('nothing came'));
    await expect(inbox.next()).rejects.toThrow('nothing came');
    const { promise, resolve } = Promise.withResolvers<undefined>();
    client.onDisconnect = () => resolve(undefined);
    await client.deactivate();
    await promise;
  });

  it('keeps the connection by heart-beats both ways', async () => {
    let heard = 0;
    const { client } = await connect(server.url, {
      heartbeatIncoming: 100,
      heartbeatOutgoing: 100,
      debug: (line) => (heard += line === '<<< PONG' ? 1 : 0),
    });
    await expect.poll(() => heard, { timeout: 60_000 }).toBeGreaterThan(5);
    expect(client.connected).toBe(true);
  });

  it('gets an ERROR that names its mistake', async () => {
    const { client, errors } = await connect(server.url);
    client.publish({ destination: '/exchange/amq.topic/x', body: 'x' });
    expect(await errors.next()).toBe('unsupported');
  });

  it('reconnects by itself through kill -9 and restart, and with its cursor misses nothing', async () => {
    await surviveRestart(async (http) => {
      let opened = 0;
      let cursor: string | undefined;
      const received: Envelope[] = [];
      const { client } = await connect(http, { reconnectDelay: 100 });
      const follow = (): void => {
        client.subscribe(
          `/${restartChannel}`,
          (message) => {
            cursor = message.headers['message-id'];
            received.push(envelopeOf(message));
          },
          cursor === undefined ? {} : { after: cursor },
        );
        opened += 1;
      };
      client.onConnect = follow;
      follow();
      // What is answered behind it has come after it.
      await receipt(client, (headers) => client.publish({ destination: '/topic/behind', headers }));
      return { opened: async () => opened, received: async () => received };
    });
  });
});

function envelopeOf({ headers, body }: IMessage): Envelope {
  return {
    channel: headers['destination']!.slice(1),
    offset: Number(headers['offset']),
    cursor: headers['message-id']!,
    id: headers['everywire-id']!,
    time: new Date(Number(headers['timestamp'])).toISOString(),
    type: headers['content-type']!,
    data: body,
  };
}

describeInChromium('@stomp/stompjs in Chromium', () => {
  let browser: Browser;
  let server: TestServer;
  let page: Page;
  const complaints: string[] = [];
  beforeAll(async () => {
    server = await startTestServer({});
    browser = await launchChromium();
    page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${server.url}/livez`);
    await page.evaluate(readFileSync(bundle, 'utf8').concat('\nundefined;'));
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
    expect(complaints).toEqual([]);
  });

  it('subscribes, publishes, acknowledges, and resumes after a cursor', async () => {
    const bodies = await page.evaluate<readonly string[]>(`new Promise((resolve, reject) => {
      const bodies = [];
      let cursor;
      const client = new StompJs.Client({ brokerURL: location.origin.replace('http', 'ws') + '/stomp', reconnectDelay: 0 });
      client.onStompError = (frame) => reject(new Error(frame.headers.message + frame.body));
      client.onConnect = () => {
        client.subscribe('/topic/chromium', (message) => {
          bodies.push(message.body);
          message.ack();
          cursor ??= message.headers['message-id'];
          if (bodies.length === 3) {
            client.subscribe('/topic/chromium', (again) => {
              bodies.push(again.body + ' again');
              if (bodies.length === 5) { client.deactivate(); resolve(bodies); }
            }, { after: cursor });
          }
        }, { ack: 'client' });
        for (const body of ['1', '둘', '3']) client.publish({ destination: '/topic/chromium', body });
      };
      client.activate();
    })`);
    expect(bodies).toEqual(['1', '둘', '3', '둘 again', '3 again']);
  });

  it('takes bytes as bytes', async () => {
    const bytes = await page.evaluate<readonly number[]>(`new Promise((resolve, reject) => {
      const client = new StompJs.Client({ brokerURL: location.origin.replace('http', 'ws') + '/stomp', reconnectDelay: 0 });
      client.onStompError = (frame) => reject(new Error(frame.headers.message + frame.body));
      client.onConnect = () => {
        client.subscribe('/topic/bytes', (message) => { client.deactivate(); resolve([...message.binaryBody]); });
        client.publish({ destination: '/topic/bytes', binaryBody: Uint8Array.from([0, 200, 10, 0]) });
      };
      client.activate();
    })`);
    expect(bytes).toEqual([0, 200, 10, 0]);
  });
});
