import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Proxy {
  readonly url: string;
  /** Breaks everything that is open (RST). */
  cut(): void;
  stop(): void;
}

/** Bytes through to a server. Handshakes of WebSocket wait for `beforeUpgrade`, as behind a busy proxy. */
export async function startProxy(
  target: string,
  beforeUpgrade: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.setNoDelay(true);
      // Cuts are what it is for.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => open.delete(socket));
    }
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.pipe(client);
    client.once('data', (first: Buffer) => {
      client.pause();
      const isUpgrade = first.includes('Upgrade: websocket');
      void (isUpgrade ? beforeUpgrade() : Promise.resolve()).then(() => {
        if (upstream.destroyed) return;
        upstream.write(first);
        client.pipe(upstream);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of open) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    stop() {
      server.close();
      cut();
    },
  };
}
