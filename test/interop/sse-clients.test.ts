import { fetchEventSource, type EventSourceMessage } from '@microsoft/fetch-event-source';
import { createRequire } from 'node:module';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openGet } from '../clients/http/wire-client.ts';
import { HttpxSseDecoder } from '../clients/http/httpx-sse.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/**
 * Clients that dispatch what browsers do not. Their users parse the data of every event as JSON, as the examples of these
 * libraries show, so an event without data ends in an exception and a loop of reconnects.
 */

interface PolyfillEvent {
  readonly type: string;
  readonly data?: string;
  readonly lastEventId?: string;
}

interface Polyfill {
  onmessage: (event: PolyfillEvent) => void;
  addEventListener(name: string, listener: (event: PolyfillEvent) => void): void;
  close(): void;
}

const { EventSourcePolyfill } = createRequire(import.meta.url)('event-source-polyfill') as {
  readonly EventSourcePolyfill: new (url: string, options?: object) => Polyfill;
};

let server: TestServer;
let ended: AbortController;

// fetch-event-source is for browsers, and uses the timers of `window`.
const document = { hidden: false, addEventListener: () => undefined, removeEventListener: () => undefined };
beforeAll(() => Object.assign(globalThis, { window: globalThis, document }));
afterAll(() => {
  Reflect.deleteProperty(globalThis, 'window');
  Reflect.deleteProperty(globalThis, 'document');
});
beforeEach(async () => {
  server = await startTestServer({ limits: { heartbeatEveryMs: 40, retryAfterMs: 10 } });
  ended = new AbortController();
});
afterEach(async () => {
  ended.abort();
  await server.stop();
});

async function publish(channel: string, data: object, event?: string): Promise<string> {
  const response = await fetch(`${server.url}/channels/${channel}`, {
    method: 'POST',
    body: JSON.stringify(data),
    headers: {
      'Content-Type': 'application/json',
      ...(event === undefined ? {} : { 'Everywire-Event': event }),
    },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { cursor: string }).cursor;
}

/** What a reader was given, and promises for it. */
class Seen<T> {
  readonly items: T[] = [];
  #changed: () => void = () => undefined;

  push(item: T): void {
    this.items.push(item);
    this.#changed();
  }

  async until(test: (items: readonly T[]) => boolean): Promise<void> {
    while (!test(this.items)) await new Promise<void>((resolve) => (this.#changed = resolve));
  }
}

/** `fetch` that shows the bytes of its answers, and can cut the last one. */
class WatchedFetch {
  readonly texts = new Seen<string>();
  readonly requests: Headers[] = [];
  #cut: () => void = () => undefined;

  readonly fetch = async (input: string, init?: RequestInit): Promise<Response> => {
    this.requests.push(new Headers(init?.headers));
    const response = await fetch(input, init);
    const watched = new TransformStream<Uint8Array, Uint8Array>({
      start: (controller) => {
        this.#cut = () => controller.error(new Error('the network is gone'));
      },
      transform: (chunk, controller) => {
        this.texts.push(Buffer.from(chunk).toString());
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body!.pipeThrough(watched), response);
  };

  cut(): void {
    this.#cut();
  }

  async heartbeats(count: number): Promise<void> {
    await this.texts.until((texts) => (texts.join('').match(/^:$/gm) ?? []).length >= count);
  }
}

describe('@microsoft/fetch-event-source', () => {
  it('is given JSON at every event, also at the opening and at heartbeats, and resumes after a cut', async () => {
    const watched = new WatchedFetch();
    const messages = new Seen<unknown>();
    const failures: unknown[] = [];
    const done = fetchEventSource(`${server.url}/channels/demo`, {
      signal: ended.signal,
      openWhenHidden: true,
      fetch: watched.fetch as typeof fetch,
      onmessage({ event, data }: EventSourceMessage) {
        const value: unknown = JSON.parse(data);
        if (event === '') messages.push(value);
      },
      onerror(failure) {
        failures.push(failure);
      },
    });
    await watched.heartbeats(3);
    await publish('demo', { n: 1 });
    await messages.until(({ length }) => length === 1);
    await watched.heartbeats(5);
    expect(watched.requests).toHaveLength(1);
    watched.cut();
    const second = publish('demo', { n: 2 });
    await messages.until(({ length }) => length === 2);
    await second;
    expect(messages.items).toEqual([{ n: 1 }, { n: 2 }]);
    expect(watched.requests).toHaveLength(2);
    expect(failures.map(String)).toEqual(['Error: the network is gone']);
    ended.abort();
    await done;
  });

  it('resumes where it began when it is cut before the first message', async () => {
    const watched = new WatchedFetch();
    const messages = new Seen<unknown>();
    const done = fetchEventSource(`${server.url}/channels/demo`, {
      signal: ended.signal,
      openWhenHidden: true,
      fetch: watched.fetch as typeof fetch,
      onmessage({ event, data }) {
        const value: unknown = JSON.parse(data);
        if (event === '') messages.push(value);
      },
      onerror: () => undefined,
    });
    await watched.heartbeats(1);
    watched.cut();
    await publish('demo', { n: 1 });
    await messages.until(({ length }) => length === 1);
    expect(watched.requests[1]!.get('last-event-id')).toMatch(/^1/);
    ended.abort();
    await done;
  });
});

describe('event-source-polyfill', () => {
  it('is given messages alone, and labels that it dispatches itself as messages', async () => {
    const source = new EventSourcePolyfill(`${server.url}/channels/demo?format=envelope`);
    const messages = new Seen<{ readonly data: unknown; readonly event?: string }>();
    const others: PolyfillEvent[] = [];
    const opened = new Promise<void>((resolve) => source.addEventListener('open', () => resolve()));
    source.onmessage = ({ data }) => messages.push(JSON.parse(data!) as never);
    for (const name of ['error', 'open']) source.addEventListener(name, (event) => others.push(event));
    try {
      await opened;
      for (const label of ['error', 'open', 'message']) await publish('demo', { label }, label);
      await messages.until(({ length }) => length === 3);
      expect(messages.items.map(({ event }) => event)).toEqual(['error', 'open', 'message']);
      expect(others.filter(({ data }) => data !== undefined)).toEqual([]);
    } finally {
      source.close();
    }
  });
});

describe('the rules of httpx-sse', () => {
  it.each([
    '/channels/demo',
    '/channels/demo?format=envelope',
    '/channels/*',
    '/stream?channel=a&channel=demo',
  ])('give JSON at every event of %s, from the opening to the goodbye', async (path) => {
    const port = Number(new URL(server.url).port);
    const client = await openGet(port, path, 'Accept: text/event-stream\r\n');
    const beats = (count: number) =>
      client.until(({ received }) => (received.match(/^:$/gm) ?? []).length >= count);
    await beats(2);
    await publish('demo', { n: 1 });
    await publish('demo', { n: 2 }, 'error');
    await client.until(({ received }) => received.includes('"n":2'));
    await beats(4);
    const stopped = server.stop();
    await client.closed();
    client.socket.destroy();
    await stopped;
    const body = client.received.slice(client.received.indexOf('\r\n\r\n') + 4);
    expect(body).toContain(': goaway\n');
    const events = new HttpxSseDecoder().read(body);
    expect(events.map(({ event }) => event)).toEqual(['everywire.position', 'message', 'message']);
    for (const { data } of events) expect(JSON.parse(data)).toBeTypeOf('object');
    server = await startTestServer({});
  });
});

describe('the Accept header', () => {
  // A preference that is old, or not understood, is not a refusal.
  it.each([
    [
      'of java.net.HttpURLConnection',
      'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2',
      'application/json',
    ],
    ['with a weight that lacks its zero', 'text/html, */*;q=.8', 'application/json'],
    ['of curl', '*/*', 'application/json'],
    ['of axios', 'application/json, text/plain, */*', 'application/json'],
    ['that prefers events, and takes anything', 'text/event-stream, */*', 'text/event-stream'],
    ['that is nonsense', 'anything', 'application/json'],
  ])('%s gets %s', async (_of, accept, type) => {
    await publish('accept', { n: 1 });
    const answer = new AbortController();
    const response = await fetch(`${server.url}/channels/accept`, {
      headers: { Accept: accept },
      signal: answer.signal,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain(type);
    answer.abort();
  });
});
