import type { Origins } from '../../http/origin.ts';
import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import type { Callers } from '../../http/credentials.ts';
import type { RawRequests } from '../../http/raw-requests.ts';
import type { UpgradeRouter } from '../../http/upgrades.ts';
import { EverywireApplication } from './everywire-application.ts';
import { IoServer } from './io-server.ts';
import type { IoSession } from './session.ts';
import type { SocketIoHost } from './limits.ts';
import { cutAt } from '../../net/drain.ts';

export interface SocketIoFront {
  readonly upgrades: UpgradeRouter;
  readonly requests: RawRequests;
  readonly callers: Pick<Callers, 'credentialsOf' | 'takesCookies'>;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface SocketIoTransportOptions {
  /** Origins that browsers may come from; absent: any, as long as authentication is off. */
  readonly allowedOrigins?: Origins | undefined;
  /** The close code for peers when the server drains: 1001 going away, or 1012 service restart (IANA registry). */
  readonly drainCode?: 1001 | 1012 | undefined;
}

const name = 'socketio';
const path = '/socket.io';

/** Socket.IO 5 on Engine.IO 4, by WebSocket and by HTTP long polling, at `/socket.io/`. */
export function createSocketIoTransport(
  front: SocketIoFront,
  options: SocketIoTransportOptions = {},
): Transport {
  return new SocketIoTransport(front, options);
}

class SocketIoTransport implements Transport {
  readonly name = name;
  readonly #front: SocketIoFront;
  readonly #options: SocketIoTransportOptions;
  #application: EverywireApplication | undefined;
  #server: IoServer<IoSession> | undefined;

  constructor(front: SocketIoFront, options: SocketIoTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const { url } = this.#front;
    return [{ transport: name, url: `${url}${path}/`, tryIt: `npx everywire subscribe sio+${url}/demo` }];
  }

  async start(host: SocketIoHost): Promise<void> {
    const { limits, clock, random, log } = host;
    const payloadBytesMax = messageBytesMax(limits, 'json');
    const application = new EverywireApplication(host, this.#drainCode);
    const server = new IoServer<IoSession>({
      application,
      persistence: application.persistence,
      allowedOrigins: this.#options.allowedOrigins,
      takesCookies: this.#front.callers.takesCookies,
      limits,
      clock,
      random,
      log,
      payloadBytesMax,
      untrustedBytesMax: limits.headerBytesMax,
      credentialsOf: (request) => this.#front.callers.credentialsOf(request),
    });
    await application.begin(server);
    this.#application = application;
    this.#server = server;
    const matches = (asked: string): boolean => asked === path || asked === `${path}/`;
    this.#front.requests.add({
      matches,
      handle: (request, response) => void server.engine.handleRequest(request, response),
      bodyBytesMax: payloadBytesMax,
    });
    this.#front.upgrades.add(matches, (request, socket, head) =>
      server.engine.handleUpgrade(request, socket, head),
    );
  }

  get #drainCode(): number {
    return this.#options.drainCode ?? 1001;
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const engine = this.#server?.engine;
    if (engine === undefined) return;
    // Connections that are in no namespace have no session that the hub could tell.
    engine.close(this.#drainCode, 'going_away');
    await cutAt(deadline, { gone: engine.emptied(), cut: () => engine.destroy() });
    await this.#application?.stop();
  }
}
