import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { wantsWebSocket } from '../../packages/server/src/http/upgrades.ts';
import { createSystemRandom } from '../../packages/server/src/runtime/random.ts';
import { systemClock } from '../../packages/server/src/runtime/clock.ts';
import { EngineServer } from '../../packages/server/src/transports/socketio/engine/engine-server.ts';

export interface EchoServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** What the public test suites of both protocols ask of a server: short intervals, and a payload of a million bytes. */
export const suiteIntervals = {
  pingIntervalMs: 300,
  pingTimeoutMs: 200,
  payloadBytesMax: 1_000_000,
} as const;

const quiet = (): void => undefined;
export const suiteParts = {
  limits: defaultLimits,
  clock: systemClock,
  random: createSystemRandom(),
  log: {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (fields: object, text: string) => console.error(text, fields),
  },
} as const;

interface Requests {
  handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  destroy(): void;
}

/** Serves an engine by itself on a port of loopback; 0 is any that is free. */
export async function serveEngine(engine: Requests, port = 0): Promise<EchoServer> {
  const server = createServer({ shouldUpgradeCallback: wantsWebSocket }, (request, response) => {
    void engine.handleRequest(request, response);
  });
  server.on('upgrade', (request, socket, head: Buffer) => engine.handleUpgrade(request, socket, head));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const chosen = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${chosen}`,
    port: chosen,
    async stop() {
      engine.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Engine.IO without anything on top: sends back what it gets. */
export function startEngineIoEcho(port = 0): Promise<EchoServer> {
  const engine = new EngineServer<object>({
    ...suiteParts,
    ...suiteIntervals,
    handlers: {
      open: () => ({}),
      message: (socket, data) => {
        if (typeof data === 'string') socket.sendText(data);
        else socket.sendBinary(Buffer.from(data));
        return undefined;
      },
      writable: quiet,
      closed: () => undefined,
    },
  });
  return serveEngine(engine, port);
}
