import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openAccess } from '../../../src/core/sessions/access.ts';
import { createHub, type Hub, type HubOptions } from '../../../src/core/hub.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Transport } from '../../../src/core/seams/transport.ts';
import { Callers } from '../../../src/http/credentials.ts';
import { RawRequests } from '../../../src/http/raw-requests.ts';
import { UpgradeRouter, wantsWebSocket } from '../../../src/http/upgrades.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import { createSocketIoTransport } from '../../../src/transports/socketio/transport.ts';

export interface IoRigOptions extends Partial<Pick<HubOptions, 'access' | 'store'>> {
  readonly limits?: Partial<AllLimits>;
}

/** The Socket.IO transport on the real hub, behind a plain HTTP server. */
export class IoRig {
  readonly hub: Hub;
  readonly transport: Transport;
  /** What was logged as an error, which no peer's input may cause. */
  readonly errors: string[];
  readonly #http: Server;

  private constructor(parts: Pick<IoRig, 'hub' | 'transport' | 'errors'> & { readonly http: Server }) {
    this.hub = parts.hub;
    this.transport = parts.transport;
    this.errors = parts.errors;
    this.#http = parts.http;
  }

  static async start(options: IoRigOptions = {}): Promise<IoRig> {
    const random = createSystemRandom();
    const clock = systemClock;
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
    const store = options.store ?? createMemoryStore({ clock, random, limits });
    const namespaces = createNamespaces([], defaultRules, limits);
    const { access = openAccess } = options;
    const hub = createHub({ store, clock, random, access, namespaces, limits, log });
    await hub.start();
    const [upgrades, requests] = [new UpgradeRouter(), new RawRequests()];
    const http = createServer({ shouldUpgradeCallback: wantsWebSocket }, (request, response) => {
      const route = requests.find(request);
      if (route === undefined) response.writeHead(404).end();
      else route.handle(request, response);
    });
    http.on('upgrade', (request, socket, head: Buffer) => upgrades.handle(request, socket, head));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const transport = createSocketIoTransport({ upgrades, requests, callers: new Callers({ hub }), url });
    await transport.start({ hub, records: store.records, limits, clock, random, log });
    return new IoRig({ hub, transport, errors, http });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.hub.beginDrain();
    await this.transport.drain(AbortSignal.timeout(500));
    this.#http.closeAllConnections();
    this.#http.close();
    await this.hub.stop();
  }
}
