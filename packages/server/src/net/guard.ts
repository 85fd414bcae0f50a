import type { Server, Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Admission } from '../core/sessions/admission.ts';

/** The name of a connection for `Credentials.connection`, before and after TLS; `undefined` once the connection is gone. */
export function connectionKey(
  socket: Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>,
): string | undefined {
  const { remoteAddress, remotePort, localPort } = socket;
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localPort}`;
}

/** Listeners for the end of a connection, under any owner. */
const departures = new WeakSet<object>();

/**
 * Whether the listener must stay on its socket when all others are removed: without it the connection would count for
 * ever.
 */
export function isDeparture(listener: object): boolean {
  return departures.has(listener);
}

/**
 * Lets `admission` decide about every connection before the server's own handlers see it, and before TLS. Call it after
 * all handlers are added.
 */
export function guard(server: Server, admission: Admission): void {
  const handlers = server.listeners('connection') as ((socket: Socket) => void)[];
  // The server does not read from a waiting connection. Node's HTTP server does not pass on the option of that name.
  Object.assign(server, { pauseOnConnect: true });
  if (server instanceof TlsServer) readOnceSecure(server);
  const waiting = new Set<Socket>();
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const key = connectionKey(socket);
    if (key === undefined) {
      socket.destroy();
      return;
    }
    const serve = (): void => {
      waiting.delete(socket);
      socket.off('error', ignore);
      for (const handle of handlers) handle.call(server, socket);
      socket.resume();
    };
    const refuse = (): void => void socket.destroy();
    // A waiting connection may break too.
    socket.on('error', ignore);
    const decision = admission.arrive(key, { address: socket.remoteAddress, serve, refuse });
    if (decision === 'refuse') {
      refuse();
      return;
    }
    const gone = (): void => {
      waiting.delete(socket);
      admission.gone(key);
    };
    departures.add(gone);
    socket.once('close', gone);
    if (decision === 'serve') serve();
    else waiting.add(socket);
  });
  // A closing server waits for all its connections, and no handler knows these.
  const close = server.close.bind(server);
  server.close = (done) => {
    for (const socket of waiting) socket.destroy();
    return close(done);
  };
}

/** Data within TLS is paused too, and no listener would resume it. */
function readOnceSecure(server: TlsServer): void {
  server.prependListener('secureConnection', (socket: TLSSocket) => socket.resume());
}

function ignore(): void {
  // Its 'close' follows.
}
