import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server, connect as connectHttp2 } from 'node:http2';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { Admission } from '../../src/core/sessions/admission.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { connectionKey, guard } from '../../src/net/guard.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const opened: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of opened.splice(0).reverse()) one.close();
});

async function listen(
  server: Server,
  limits: Partial<typeof defaultLimits>,
): Promise<{ port: number; admission: Admission }> {
  const admission = new Admission({ ...defaultLimits, ...limits }, systemClock);
  guard(server, admission);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  opened.push({ close: () => server.close() });
  return { port: (server.address() as AddressInfo).port, admission };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  opened.push({ close: () => socket.destroy() });
  await once(socket, 'connect');
  return socket;
}

async function answerTo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

function echo(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.pipe(socket);
}

const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe('a guarded listener', () => {
  it('of HTTP serves what came while it had to wait, once a connection ahead has authenticated', async () => {
    const keys: string[] = [];
    const server = createHttpServer((incoming, response) => {
      keys.push(connectionKey(incoming.socket)!);
      response.end(`served ${incoming.url}`);
    });
    const { port, admission } = await listen(server, { unauthenticatedPerAddressMax: 1 });
    const first = await dial(port);
    expect(await answerTo(first, request)).toContain('served /');
    const second = await dial(port);
    const answer = answerTo(second, request);
    // One more on the first connection is answered, so the second one's request has had its time.
    expect(await answerTo(first, request)).toContain('served /');
    expect(keys).toHaveLength(2);
    expect(admission.figures).toMatchObject({ unauthenticated: 1, waiting: 1 });
    admission.know(keys[0]!, 'ann');
    expect(await answer).toContain('served /');
    expect(await answerTo(second, request)).toContain('served /');
  });

  it('of TCP gives the turn of one that goes to the next', async () => {
    const server = createServer(echo);
    const { port, admission } = await listen(server, { unauthenticatedPerAddressMax: 1 });
    const first = await dial(port);
    expect(await answerTo(first, 'one')).toBe('one');
    const second = await dial(port);
    const answer = answerTo(second, 'two');
    first.destroy();
    expect(await answer).toBe('two');
    second.destroy();
    const third = await dial(port);
    expect(await answerTo(third, 'three')).toBe('three');
    expect(admission.figures).toMatchObject({ unauthenticated: 1, waiting: 0, refused: 0 });
  });

  it('of HTTP/2 works as without', async () => {
    const server = createHttp2Server((_request, response) => {
      response.end('served');
    });
    const { port } = await listen(server, {});
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    opened.push(client);
    const stream = client.request({ ':path': '/' });
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('served');
  });

  it('closes connections above the limit', async () => {
    const server = createServer(echo);
    const { port, admission } = await listen(server, { connectionsMax: 1 });
    const first = await dial(port);
    const second = await dial(port);
    await once(
      second.on('error', () => undefined),
      'close',
    );
    expect(await answerTo(first, 'one')).toBe('one');
    expect(admission.figures.refused).toBe(1);
  });

  it('continues after one that broke while it waited', async () => {
    const server = createServer(echo);
    const { port, admission } = await listen(server, { unauthenticatedPerAddressMax: 1 });
    const first = await dial(port);
    expect(await answerTo(first, 'one')).toBe('one');
    const second = await dial(port);
    second.write('two');
    expect(await answerTo(first, 'again')).toBe('again');
    expect(admission.figures.waiting).toBe(1);
    second.resetAndDestroy();
    first.destroy();
    const third = await dial(port);
    expect(await answerTo(third, 'three')).toBe('three');
  });

  it('reads nothing from one that waits, of HTTP too', async () => {
    const server = createHttpServer((_request, response) => response.end('served'));
    const { port } = await listen(server, { unauthenticatedPerAddressMax: 1 });
    const accepted: Socket[] = [];
    server.on('connection', (socket: Socket) => accepted.push(socket));
    const first = await dial(port);
    expect(await answerTo(first, request)).toContain('served');
    const second = await dial(port);
    second.write(request);
    for (let at = 0; at < 3; at += 1) expect(await answerTo(first, request)).toContain('served');
    expect(accepted).toHaveLength(2);
    expect(accepted[1]!.bytesRead).toBe(0);
  });

  it('that closes does not wait for those that wait', async () => {
    const server = createServer(echo);
    const { port, admission } = await listen(server, { unauthenticatedPerAddressMax: 1 });
    const first = await dial(port);
    expect(await answerTo(first, 'one')).toBe('one');
    const second = await dial(port);
    expect(await answerTo(first, 'again')).toBe('again');
    expect(admission.figures.waiting).toBe(1);
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    await once(second, 'close');
    first.destroy();
    await closed;
    await expect.poll(() => admission.figures).toMatchObject({ unauthenticated: 0, waiting: 0 });
  });
});
