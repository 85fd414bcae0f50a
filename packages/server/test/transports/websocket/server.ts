import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openAccess } from '../../../src/core/sessions/access.ts';
import { createHub, type Hub } from '../../../src/core/hub.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules, type NamespaceEntry } from '../../../src/core/log/namespaces.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import type { Transport } from '../../../src/core/seams/transport.ts';
import { Callers } from '../../../src/http/credentials.ts';
import { UpgradeRouter, wantsWebSocket } from '../../../src/http/upgrades.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import {
  createWebSocketTransport,
  type WebSocketTransportOptions,
} from '../../../src/transports/websocket/transport.ts';

export interface TestServerOptions extends WebSocketTransportOptions {
  readonly limits?: Partial<AllLimits>;
  readonly namespaces?: readonly NamespaceEntry[];
}

/** The WebSocket transport on the real hub and the memory store, behind a plain HTTP server. */
export class TestServer {
  readonly hub: Hub;
  readonly transport: Transport;
  /** What was logged as an error, which no peer's input may cause. */
  readonly errors: string[];
  readonly #http: Server;
  #publisher: Session | undefined;

  private constructor(parts: { hub: Hub; transport: Transport; errors: string[]; http: Server }) {
    this.hub = parts.hub;
    this.transport = parts.transport;
    this.errors = parts.errors;
    this.#http = parts.http;
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const random = createSystemRandom();
    const limits = { ...defaultLimits, ...options.limits };
    const errors: string[] = [];
    const quiet = () => undefined;
    const log = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (fields: object, text: string) => {
        errors.push(`${text}: ${String((fields as { err?: unknown }).err)}`);
      },
    };
    const hub = createHub({
      store: createMemoryStore({ clock: systemClock, random, limits }),
      clock: systemClock,
      random,
      access: openAccess,
      namespaces: createNamespaces(options.namespaces ?? [], defaultRules, limits),
      limits,
      log,
    });
    await hub.start();
    const upgrades = new UpgradeRouter();
    const http = createServer({ shouldUpgradeCallback: wantsWebSocket }, (_, response) => {
      response.writeHead(400).end();
    });
    http.on('upgrade', (request, socket, head: Buffer) => upgrades.handle(request, socket, head));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const callers = new Callers({ hub });
    const transport = createWebSocketTransport({ upgrades, callers, url }, options);
    await transport.start({ hub, records: hub.store.records, limits, clock: systemClock, random, log });
    return new TestServer({ hub, transport, errors, http });
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `ws://127.0.0.1:${this.port}${path}`;
  }

  /** Publishes from another session, and returns the cursor. */
  async publish(channel: string, payload: string | Buffer, type = 'text/plain'): Promise<string> {
    this.#publisher ??= this.hub.open(
      await this.hub.authenticate({ token: undefined, address: undefined }),
      { transport: 'test' },
      { deliver: () => true, notify: () => undefined, close: () => undefined },
    );
    const draft = { payload: Buffer.from(payload as string), type };
    return (await this.#publisher.publish(channel, draft)).cursor;
  }

  async stop(): Promise<void> {
    this.hub.beginDrain();
    await this.transport.drain(AbortSignal.timeout(500));
    this.#http.closeAllConnections();
    this.#http.close();
    await this.hub.stop();
  }
}
