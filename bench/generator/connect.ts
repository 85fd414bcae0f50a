import net from 'node:net';

/** A connection of a publisher or a poller to `port` on loopback. */
export function connect(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.off('error', reject);
      socket.on('error', (error) => console.error(`generator: ${error.message}`));
      resolve(socket);
    });
    socket.setNoDelay(true);
    socket.once('error', reject);
  });
}
