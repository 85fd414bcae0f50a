import { createRequire } from 'node:module';
import { openAuth, type Auth } from './auth/index.ts';
import { certificateRightsOf, issuersOf } from './config/auth.ts';
import { completeConfig, isDefault, type LoadedConfig } from './config/load.ts';
import { namespacesOf } from './config/namespaces.ts';
import { webhooksOf } from './config/webhooks.ts';
import type { AllLimits } from './config/limits.ts';
import type { Config, ConfigInput } from './config/schema.ts';
import { openAccess, type Access } from './core/sessions/access.ts';
import { Admission } from './core/sessions/admission.ts';
import type { Clock, Random } from './core/clock.ts';
import { ThrottledLog } from './core/throttled-log.ts';
import { createHub, type Hub } from './core/hub.ts';
import type { Log } from './core/seams/log.ts';
import type { Endpoint, Host, Transport } from './core/seams/transport.ts';
import { createHttpFront, type HttpFront } from './http/front.ts';
import { AllowedOrigins, hostsOnLoopback } from './http/origin.ts';
import type { ListenAddress } from './net/listener.ts';
import { isLoopback } from './net/loopback.ts';
import { certificateOf } from './net/tls-end.ts';
import { trustedProxies } from './net/trusted-proxies.ts';
import { pages } from './page/index.ts';
import { systemClock } from './runtime/clock.ts';
import { createSystemRandom } from './runtime/random.ts';
import { createStore } from './stores/index.ts';
import { createLog } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { ServerTls } from './tls/server-tls.ts';
import { noWebhookFigures } from './transports/webhook/figures.ts';
import { checkNativeBytes, createTransport, nativeBytes, transportNames } from './transports/index.ts';

export const { version } = createRequire(import.meta.url)('../package.json') as { readonly version: string };

/** The addresses and handles of a started server. */
export interface Started {
  /** Base URL of the HTTP family and WebSocket, with the port that was chosen if 0 was asked for. */
  readonly http: string;
  /** `mqtt://host:port`, while that listener is on. */
  readonly mqtt?: string | undefined;
  /** `stomp://host:port`, while that listener is on. */
  readonly stomp?: string | undefined;
  /** `mqtts://host:port`, while that listener is on. */
  readonly mqtts?: string | undefined;
  /** `stomps://host:port`, while that listener is on. */
  readonly stomps?: string | undefined;
  /** `host:port`, as gRPC's clients want it, while that listener is on. */
  readonly grpc?: string | undefined;
  /** A row per way in. */
  readonly endpoints: readonly Endpoint[];
}

export interface EverywireServer {
  readonly config: Config;
  /**
   * Opens the store and listens. Call it once.
   * @throws Error for an operator, such as that the port is taken; nothing is left open then
   */
  start(): Promise<Started>;
  /**
   * Tells every peer to come back elsewhere, finishes the writes in progress, and releases everything, within
   * `limits.drainMs`. A second call returns the first one's result.
   */
  stop(): Promise<void>;
  /** Reads the TLS certificate anew, which otherwise happens within seconds of its files' change. Errors are logged. */
  reload(): Promise<void>;
}

/** Replacements for parts of the machine, such as the clock. */
export interface ServerParts {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
  /** Access rules in place of the configured tokens. For tests. */
  readonly access?: Access;
  /**
   * Called when only a new process can continue: a failed write has damaged the memory of the store's native part.
   * Acknowledged messages are safe on disk. `everywire serve` kills itself, to be started anew; without this the server
   * stays up and refuses.
   */
  readonly onFatal?: (error: unknown) => void;
}

/**
 * Makes a server; nothing is opened before `start()`. Missing parts of the configuration have their defaults.
 * @throws ConfigError when the configuration cannot be used
 */
export function createServer(input: ConfigInput = {}, parts: ServerParts = {}): EverywireServer {
  return new ComposedServer(completeConfig(input), parts);
}

/** Started parts, in order: stopping goes through them in reverse. */
interface Step {
  readonly what: string;
  readonly stop: (limit: StopLimit) => Promise<void>;
}

interface StopLimit {
  /** When peers that have not gone by themselves are cut. */
  readonly deadline: AbortSignal;
  /** The time left after that. */
  readonly closingMs: number;
}

/** The part of `drainMs` for closing the front and the store after the peers have gone. */
const closingShare = 0.2;

/** The composition root: the one place that knows all the parts. */
class ComposedServer implements EverywireServer {
  readonly config: Config;
  readonly #loaded: LoadedConfig;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #access: Access;
  readonly #auth: Auth | undefined;
  readonly #onFatal: ((error: unknown) => void) | undefined;
  readonly #steps: Step[] = [];
  #hub: Hub | undefined;
  #front: HttpFront | undefined;
  #tls: ServerTls | undefined;
  #settled: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(loaded: LoadedConfig, parts: ServerParts) {
    const { config } = loaded;
    this.config = config;
    this.#loaded = loaded;
    this.#clock = parts.clock ?? systemClock;
    this.#random = parts.random ?? createSystemRandom();
    this.#log = parts.log ?? createLog(config.log);
    this.#onFatal = parts.onFatal;
    this.#auth = parts.access === undefined ? this.#openAuth() : undefined;
    this.#access = parts.access ?? this.#auth?.access ?? openAccess;
  }

  async start(): Promise<Started> {
    const starting = this.#start();
    // The caller gets the outcome; `stop` only needs to know that it has ended.
    this.#settled = starting.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await starting;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async reload(): Promise<void> {
    await this.#tls?.reload();
  }

  async #start(): Promise<Started> {
    const { config } = this;
    const { limits } = config;
    const allowedOrigins = this.#allowedOrigins();
    const shared = { clock: this.#clock, random: this.#random, log: this.#log, limits };
    const tls = await this.#loadTls();
    const store = await createStore(config.store, {
      ...shared,
      ...(this.#onFatal === undefined ? {} : { onFatal: this.#onFatal }),
    });
    const isProxy = trustedProxies(config.http.trustedProxies);
    // Without authentication no peer could ever authenticate.
    const admission = this.#access === openAccess ? undefined : new Admission(limits, this.#clock, isProxy);
    const namespaces = namespacesOf(config);
    const hub = createHub({ ...shared, store, access: this.#access, admission, namespaces });
    this.#hub = hub;
    await hub.start();
    this.#steps.push({ what: 'store', stop: () => hub.stop() });
    const auth = this.#auth;
    await auth?.start(store.records);
    this.#steps.push({ what: 'auth', stop: async () => auth?.stop() });

    const webhookFigures = noWebhookFigures();
    const metrics = createMetrics({
      hub,
      figures: hub.figures,
      // The delay of the event loop is one of this process, also where a test moves the time.
      clock: systemClock,
      version,
      // Requests of the HTTP front belong to no transport: most publishes are among them.
      transports: ['http', ...transportNames],
      webhooks: webhookFigures,
      admission,
    });
    this.#steps.push({ what: 'metrics', stop: async () => metrics.stop() });
    const front = await createHttpFront({
      ...shared,
      ...config.http,
      hub,
      metrics,
      metricsAccess: config.metrics.access,
      allowedOrigins,
      isHost: this.#hostNames(),
      tokens: auth?.tokens,
      cookie: config.auth.cookie,
      certificateOf,
      tls,
      admission,
      isProxy,
      version,
    });
    this.#front = front;
    this.#steps.push({ what: 'http', stop: ({ closingMs }) => front.close(closingMs) });
    for (const { path, contentType, body, headers } of pages()) front.page(path, contentType, body, headers);

    const host: Host<AllLimits> = { ...shared, hub, records: store.records, admission };
    checkNativeBytes(nativeBytes);
    const wanted = transportNames.filter((name) => config.transports[name]);
    const listen = {
      mqtt: this.#addressOf('mqtt'),
      stomp: this.#addressOf('stomp'),
      grpc: this.#addressOf('grpc'),
      mqtts: this.#addressOf('mqtt', 'tlsPort'),
      stomps: this.#addressOf('stomp', 'tlsPort'),
    };
    const transports = await Promise.all(
      wanted.map((name) =>
        createTransport(name, {
          front,
          allowedOrigins,
          listen,
          tls,
          webhooks: { ...webhooksOf(config), figures: webhookFigures },
        }),
      ),
    );
    const started: Transport[] = [];
    this.#steps.push({ what: 'transports', stop: ({ deadline }) => drainAll(started, deadline, this.#log) });
    for (const transport of transports) {
      await transport.start(host);
      started.push(transport);
    }

    await front.listen();
    const endpoints = transports.flatMap((transport) => transport.endpoints);
    const urlOf = (scheme: string) => endpoints.find(({ url }) => url.startsWith(`${scheme}://`))?.url;
    return {
      http: front.url,
      mqtt: urlOf('mqtt'),
      stomp: urlOf('stomp'),
      mqtts: urlOf('mqtts'),
      stomps: urlOf('stomps'),
      grpc: (urlOf('grpc') ?? urlOf('grpcs'))?.replace(/^grpcs?:\/\//, ''),
      endpoints,
    };
  }

  #openAuth(): Auth | undefined {
    const { config } = this;
    const { limits } = config;
    const parts = { clock: this.#clock, random: this.#random, log: this.#log, limits };
    return openAuth({ ...parts, issuers: issuersOf(config), certificates: certificateRightsOf(config) });
  }

  /** First of all: a certificate that cannot be used is found out before anything is opened. */
  async #loadTls(): Promise<ServerTls | undefined> {
    const { tls, limits } = this.config;
    const { cert, key } = tls;
    if (cert === undefined || key === undefined) return undefined;
    const settings = { ...tls, cert, key };
    const loaded = await ServerTls.load({ settings, limits, clock: this.#clock, log: this.#log });
    this.#tls = loaded;
    this.#steps.push({ what: 'tls', stop: async () => loaded.stop() });
    return loaded;
  }

  /** A page that was refused is a setting that is missing, or an attack: the operator can tell which. */
  #allowedOrigins(): AllowedOrigins {
    const refusals = new ThrottledLog(this.#clock, this.#log);
    return new AllowedOrigins(this.config.allowedOrigins, (origin) =>
      refusals.info(
        { origin },
        'refused a page of another origin; to allow it, add the origin to allowedOrigins',
      ),
    );
  }

  /** A server that asks for no token answers to the names of its machine alone. */
  #hostNames(): ((host: string) => boolean) | undefined {
    const { http, allowedOrigins } = this.config;
    return this.#access === openAccess && isLoopback(http.host) ? hostsOnLoopback(allowedOrigins) : undefined;
  }

  #addressOf(name: 'mqtt' | 'stomp' | 'grpc'): ListenAddress;
  #addressOf(name: 'mqtt' | 'stomp', key: 'tlsPort'): ListenAddress;
  #addressOf(name: 'mqtt' | 'stomp' | 'grpc', key: 'port' | 'tlsPort' = 'port'): ListenAddress {
    const { host } = this.config.http;
    const ports: Readonly<Record<string, number>> = this.config[name];
    return { host, port: ports[key]!, isDefaultPort: isDefault(this.#loaded, [name, key]) };
  }

  async #stop(): Promise<void> {
    await this.#settled;
    this.#hub?.beginDrain();
    this.#front?.drain();
    const deadline = new AbortController();
    const { drainMs } = this.config.limits;
    const closingMs = drainMs * closingShare;
    // Not the clock's timer, which would let the process end while a peer is still being told.
    const timer = setTimeout(() => deadline.abort(), drainMs - closingMs);
    try {
      for (const { what, stop } of this.#steps.splice(0).reverse()) {
        try {
          await stop({ deadline: deadline.signal, closingMs });
        } catch (error) {
          // The rest must still be closed: above all the store.
          this.#log.error({ err: error, what }, 'a part of the server could not be stopped');
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The fault of one transport must not end the wait for the others, whose peers still use the store. */
async function drainAll(transports: readonly Transport[], deadline: AbortSignal, log: Log): Promise<void> {
  const drain = async (transport: Transport): Promise<void> => {
    try {
      await transport.drain(deadline);
    } catch (error) {
      log.error({ err: error, transport: transport.name }, 'a transport could not be stopped');
    }
  };
  await Promise.all(transports.map(drain));
}
