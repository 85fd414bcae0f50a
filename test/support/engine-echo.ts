import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { EverywireError } from '@everywire/protocol';
import { defaultLimits } from '../../packages/server/src/core/limits.ts';
import { systemClock } from '../../packages/server/src/runtime/clock.ts';
import { createSystemRandom } from '../../packages/server/src/runtime/random.ts';
import { createLog } from '../../packages/server/src/telemetry/log.ts';
import type { IoApplication } from '../../packages/server/src/transports/socketio/application.ts';
import { EngineServer } from '../../packages/server/src/transports/socketio/engine/engine-server.ts';
import { IoServer } from '../../packages/server/src/transports/socketio/io-server.ts';

/**
 * The servers that the public suites of both protocols ask implementers for: an echo of every message, heartbeats that a
 * test can wait for, and no store behind them.
 */

export const echoIntervals = { pingIntervalMs: 300, pingTimeoutMs: 200 } as const;
export const echoPayloadBytesMax = 1_000_000;

export interface EchoServer {
  /** `http://127.0.0.1:<port>`; any path is the engine's. */
  readonly url: string;
  close(): Promise<void>;
}

interface Engine {
  handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  destroy(): void;
}

function engineOptions() {
  return {
    ...echoIntervals,
    limits: defaultLimits,
    clock: systemClock,
    random: createSystemRandom(),
    log: createLog({ level: 'warn', format: 'text' }),
    payloadBytesMax: echoPayloadBytesMax,
  };
}

/** Engine.IO 4: every message is sent back as it came. */
export function startEngineEcho(port = 0): Promise<EchoServer> {
  const engine = new EngineServer<object>({
    ...engineOptions(),
    handlers: {
      open: () => ({}),
      message(socket, data) {
        if (typeof data === 'string') socket.sendText(data);
        else socket.sendBinary(Buffer.from(data));
        return undefined;
      },
      writable: () => undefined,
      closed: () => undefined,
    },
  });
  return listen(engine, port);
}

type Auth = Readonly<Record<string, unknown>>;

/**
 * Socket.IO 5, with the namespaces `/` and `/custom`: a new socket is sent its own `auth`; `message` comes back as
 * `message-back`, and the arguments of `message-with-ack` as the acknowledgement.
 */
const echoApplication: IoApplication<Auth> = {
  connect({ ioNamespace, engine }, auth) {
    if (ioNamespace !== '/' && ioNamespace !== '/custom') {
      return Promise.reject(new EverywireError('not_found', 'Invalid namespace'));
    }
    return Promise.resolve({ answer: { sid: `${engine.sid}-io` }, state: auth });
  },
  connected: (socket) => socket.emit(['"auth"', JSON.stringify(socket.state)]),
  event(socket, { name, items, attachments, ackId }) {
    const count = attachments.length;
    const prefix = socket.ioNamespace === '/' ? '' : `${socket.ioNamespace},`;
    const binary = count === 0 ? '' : `${count}-`;
    if (name === 'message') {
      const type = count === 0 ? 2 : 5;
      socket.engine.sendText(`${type}${binary}${prefix}[${['"message-back"', ...items].join(',')}]`);
    } else if (name === 'message-with-ack' && ackId !== undefined) {
      const type = count === 0 ? 3 : 6;
      socket.engine.sendText(`${type}${binary}${prefix}${ackId}[${items.join(',')}]`);
    }
    for (const attachment of attachments) socket.engine.sendBinary(Buffer.from(attachment));
    return undefined;
  },
  writable: () => undefined,
  ended: () => undefined,
};

export function startSocketIoEcho(port = 0): Promise<EchoServer> {
  const { engine } = new IoServer({
    ...engineOptions(),
    application: echoApplication,
    connectTimeoutMs: 1_000,
  });
  return listen(engine, port);
}

async function listen(engine: Engine, port: number): Promise<EchoServer> {
  const server: Server = createServer((request, response) => void engine.handleRequest(request, response));
  server.on('upgrade', (request, socket, head) => {
    engine.handleUpgrade(request, socket, head);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      engine.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
