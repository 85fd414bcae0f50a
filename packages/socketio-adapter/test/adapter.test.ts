import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../test/support/server.ts';
import { createAdapter, type AdapterOptions, type Problem } from '../src/index.ts';

const patience = { timeout: 10_000, interval: 10 };

interface App {
  readonly io: Server;
  readonly url: string;
}

describe('the adapter in one process', () => {
  let server: TestServer;
  let apps: App[] = [];
  let clients: Socket[] = [];
  let prefixes = 0;

  beforeAll(async () => {
    server = await startTestServer({ store: 'memory:' });
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    for (const app of apps) await app.io.close();
    [apps, clients] = [[], []];
  });

  function adapter(options: Partial<AdapterOptions> = {}): ReturnType<typeof createAdapter> {
    return createAdapter({ url: server.url, prefix: `app-${(prefixes += 1)}`, ...options });
  }
  async function start(made: ReturnType<typeof createAdapter>): Promise<App> {
    const http = createServer();
    const app = { io: new Server(http, { adapter: made, connectionStateRecovery: {} }), url: '' };
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    app.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    apps.push(app);
    return app;
  }
  async function connect({ url }: App, namespace = ''): Promise<{ socket: Socket; heard: unknown[][] }> {
    const socket = io(url + namespace, { forceNew: true, transports: ['websocket'] });
    const heard: unknown[][] = [];
    socket.onAny((event: string, ...args: unknown[]) => {
      if (event !== 'everywire.cursor') heard.push([event, ...args.slice(0, -1)]);
    });
    clients.push(socket);
    await once(socket as never, 'connect');
    return { socket, heard };
  }

  it('may be shared by two servers', async () => {
    const made = adapter();
    const [one, two] = [await start(made), await start(made)];
    const [a, b] = [await connect(one), await connect(two)];
    one.io.emit('from one');
    two.io.emit('from two');
    for (const { heard } of [a, b]) {
      await expect.poll(() => heard.length, patience).toBe(2);
    }
    expect(a.heard).toEqual(b.heard);
  });

  it('keeps events that are emitted before Everywire can be reached', async () => {
    const problems: Problem[] = [];
    const blind = createServer().listen(0, '127.0.0.1');
    await once(blind, 'listening');
    const { port } = blind.address() as AddressInfo;
    blind.close();
    await once(blind, 'close');
    const app = await start(
      adapter({ url: `http://127.0.0.1:${port}`, onProblem: (problem) => problems.push(problem) }),
    );
    const a = await connect(app);
    app.io.emit('early', 1);
    await expect.poll(() => problems.map(({ kind }) => kind), patience).toEqual(['unavailable']);
    const late = await startTestServer({ store: 'memory:', http: { port } });
    try {
      await expect.poll(() => a.heard, patience).toEqual([['early', 1]]);
    } finally {
      a.socket.disconnect();
      await app.io.close();
      apps = [];
      await late.stop();
    }
  });

  it('runs middlewares while others talk, and a recovered socket misses nothing of it', async () => {
    const made = adapter();
    const http = createServer();
    const server = new Server(http, { adapter: made, connectionStateRecovery: { skipMiddlewares: false } });
    const atTheDoor = Promise.withResolvers<() => void>();
    let isHeld = false;
    server.use((_socket, next) => {
      if (isHeld) atTheDoor.resolve(() => next());
      else next();
    });
    server.on('connection', (socket) => {
      if (!socket.recovered) void socket.join('r');
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    const app = { io: server, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
    apps.push(app);
    const a = await connect(app);
    server.to('r').emit('said', 1);
    await expect.poll(() => a.heard, patience).toEqual([['said', 1]]);
    isHeld = true;
    const back = once(a.socket as never, 'connect');
    a.socket.io.engine.close();
    server.to('r').emit('said', 2);
    const letIn = await atTheDoor.promise;
    // The socket exists and is not connected: nothing is delivered to it by the library.
    server.to('r').emit('said', 3);
    server.to('other').emit('said', 'not for it');
    await expect.poll(async () => (await stored()).at(-1), patience).toBe('not for it');
    letIn();
    await back;
    server.to('r').emit('said', 4);
    await expect.poll(() => a.heard.length, patience).toBe(4);
    expect(a.heard).toEqual([1, 2, 3, 4].map((number) => ['said', number]));
    expect(a.socket.recovered).toBe(true);
  });

  async function stored(): Promise<readonly unknown[]> {
    const page = await fetch(`${server.url}/channels/app-${prefixes}/**?since=earliest`);
    const { messages } = (await page.json()) as { messages: { event?: string; data: unknown }[] };
    return messages.filter(({ event }) => event === 'said').map(({ data }) => data);
  }

  it('saves data that changes without anybody being told', async () => {
    const app = await start(adapter({ heartbeatEveryMs: 50 }));
    app.io.on('connection', (socket) => {
      const data = socket.data as { count?: number };
      socket.on('count', (ack: () => void) => {
        data.count = (data.count ?? 0) + 1;
        ack();
      });
    });
    const a = await connect(app);
    await a.socket.emitWithAck('count');
    const saved = async (): Promise<unknown> => {
      const page = await fetch(`${server.url}/channels/app-${prefixes}-sessions/**?since=last-1`);
      return ((await page.json()) as { messages: { data: { data: unknown } }[] }).messages[0]?.data.data;
    };
    await expect.poll(saved, patience).toEqual({ count: 1 });
  });

  it('does not let a message that cannot be delivered keep others from theirs', async () => {
    const problems: Problem[] = [];
    const app = await start(adapter({ onProblem: (problem) => problems.push(problem) }));
    const a = await connect(app);
    const publish = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${server.url}/channels/app-${prefixes}/_${path}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body,
      });
    await publish('/~cluster', 'null');
    await publish('/~cluster', '{"value":7}');
    await publish('/~packets', '{"value":{"args":[]}}');
    await publish('', '1', { 'Everywire-Meta-socket.io': 'nonsense' });
    await publish('', `${'['.repeat(9_000)}${']'.repeat(9_000)}`);
    await publish('', '"fine"');
    await expect.poll(() => a.heard.at(-1), patience).toEqual(['message', 'fine']);
    expect(problems.filter(({ kind }) => kind === 'failed').length).toBeGreaterThanOrEqual(4);
    expect(a.socket.connected).toBe(true);
  });
});
