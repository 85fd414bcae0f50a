import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { defaultLimits } from '../../src/config/limits.ts';
import type { Link } from '../../src/net/link.ts';
import { listenTcp, type ListenAddress, type TcpListener } from '../../src/net/listener.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const quiet = () => undefined;

function listen(address: Partial<ListenAddress>, warnings: string[] = []): Promise<TcpListener<object>> {
  return listenTcp({
    name: 'stomp',
    host: '127.0.0.1',
    port: 0,
    isDefaultPort: false,
    open: (link: Link<object>) => ({ link }),
    handlers: { onData: quiet, onDrain: quiet, onClose: quiet },
    limits: defaultLimits,
    clock: systemClock,
    log: { debug: quiet, info: quiet, warn: (_, text) => warnings.push(text), error: quiet },
    ...address,
  });
}

async function takenPort(): Promise<{ port: number; free: () => void }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, free: () => server.close() };
}

describe('listenTcp', () => {
  test('at 0 takes any port, and tells its URL', async () => {
    const listener = await listen({});
    expect(listener.url).toBe(`stomp://127.0.0.1:${listener.port}`);
    listener.close();
  });

  test('brackets an IPv6 address', async () => {
    const listener = await listen({ host: '::1' });
    expect(listener.url).toBe(`stomp://[::1]:${listener.port}`);
    listener.close();
  });

  test('at -1 is off', async () => {
    const listener = await listen({ port: -1 });
    expect([listener.port, listener.url, listener.size]).toEqual([undefined, undefined, 0]);
    await listener.emptied();
    listener.close();
  });

  test('at a configured port that is in use names the port and the remedy', async () => {
    const { port, free } = await takenPort();
    await expect(listen({ port })).rejects.toThrow(
      `stomp: port ${port} on 127.0.0.1 is taken; choose another with --stomp-port, 0 for any, or -1 for none.`,
    );
    free();
  });

  test('at a default port that is taken is off, with a warning', async () => {
    const { port, free } = await takenPort();
    const warnings: string[] = [];
    const listener = await listen({ port, isDefaultPort: true }, warnings);
    expect(listener.port).toBeUndefined();
    expect(warnings).toEqual([
      `stomp: port ${port} is taken, so this listener is off; --stomp-port chooses another`,
    ]);
    free();
  });

  test('takes no connection once closed, and leaves those that are there', async () => {
    const listener = await listen({});
    const port = listener.port!;
    const there = connect(port, '127.0.0.1');
    await once(there, 'connect');
    while (listener.size === 0) await new Promise(setImmediate);
    listener.close();
    const late = connect(port, '127.0.0.1');
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    expect([...listener].every((link) => link.isOpen)).toBe(true);
    for (const link of listener) link.destroy();
    await listener.emptied();
  });
});
