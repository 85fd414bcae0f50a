import type { Server, Socket } from 'node:net';
import type { Admission } from '../core/admission.ts';

/** Names a connection for `Credentials.connection`, on either side of TLS; `undefined` once it is gone. */
export function connectionKey(
  socket: Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>,
): string | undefined {
  const { remoteAddress, remotePort, localPort } = socket;
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localPort}`;
}

/**
 * Lets `admission` decide about every connection before the server's own handlers see it, before TLS too. Called once they
 * are all there. The server must have been made with `pauseOnConnect`, so that nothing is read from one that waits.
 */
export function guard(server: Server, admission: Admission): void {
  const handlers = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const key = connectionKey(socket);
    if (key === undefined) {
      socket.destroy();
      return;
    }
    const serve = (): void => {
      socket.off('error', ignore);
      for (const handle of handlers) handle.call(server, socket);
      socket.resume();
    };
    const refuse = (): void => void socket.destroy();
    // One that waits may break as well.
    socket.on('error', ignore);
    const decision = admission.arrive(key, { address: socket.remoteAddress, serve, refuse });
    if (decision === 'refuse') {
      refuse();
      return;
    }
    socket.once('close', () => admission.gone(key));
    if (decision === 'serve') serve();
  });
}

function ignore(): void {
  // Its 'close' follows.
}
