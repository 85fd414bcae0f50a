import type { Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';

interface TlsEvents {
  readonly connection: Socket;
  readonly secureConnection: TLSSocket;
}

/**
 * Inserts a step between an event of a server and its present listeners: they get a socket only when `proceed` is
 * called, in the same turn or later.
 */
export function intercept<Event extends keyof TlsEvents>(
  server: TlsServer,
  event: Event,
  judge: (socket: TlsEvents[Event], proceed: () => void) => void,
): void {
  const listeners = server.listeners(event);
  server.removeAllListeners(event);
  server.on(event, (socket: TlsEvents[Event]) => {
    judge(socket, () => {
      for (const listener of listeners) listener.call(server, socket);
    });
  });
}
