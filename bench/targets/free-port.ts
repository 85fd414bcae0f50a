import net from 'node:net';

/** For servers that cannot be asked to choose a port. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('not listening on a port'));
        else resolve(address.port);
      });
    });
  });
}

/** Resolves when a program listens on `port`; after `timeoutMs` throws an error that has `name` in its message. */
export async function waitUntilAccepting(name: string, port: number, timeoutMs = 5_000): Promise<void> {
  const giveUpMs = performance.now() + timeoutMs;
  for (;;) {
    const isAccepting = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isAccepting) return;
    if (performance.now() > giveUpMs)
      throw new Error(`${name} did not listen on port ${port} in ${timeoutMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
