import { createHub, type Hub } from '../../src/core/hub.ts';
import { openAccess, type Access } from '../../src/core/sessions/access.ts';
import type { Clock } from '../../src/core/clock.ts';
import { checkLimits, defaultLimits, type AllLimits } from '../../src/config/limits.ts';
import { createNamespaces, defaultRules, type NamespaceEntry } from '../../src/core/log/namespaces.ts';
import type { Log } from '../../src/core/seams/log.ts';
import type { Host, Transport } from '../../src/core/seams/transport.ts';
import { createHttpFront, type HttpFront, type HttpFrontOptions } from '../../src/http/front.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createStore } from '../../src/stores/index.ts';
import { noWebhookFigures } from '../../src/transports/webhook/figures.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createPollTransport } from '../../src/transports/poll/transport.ts';
import { createSseTransport } from '../../src/transports/sse/transport.ts';
import { createStreamTransport } from '../../src/transports/stream/transport.ts';

export interface RigOptions {
  readonly limits?: Partial<AllLimits>;
  readonly clock?: Clock;
  /** Default: everyone may do everything. */
  readonly access?: Access;
  readonly namespaces?: readonly NamespaceEntry[];
  readonly transports?: readonly ('poll' | 'stream' | 'sse')[];
  readonly front?: Partial<HttpFrontOptions>;
  /** What is registered at the front before it listens. */
  readonly prepare?: (front: HttpFront) => void;
}

export interface Rig extends AsyncDisposable {
  readonly front: HttpFront;
  readonly hub: Hub;
  readonly host: Host;
  readonly port: number;
  readonly transports: readonly Transport[];
  /** The logged warnings and errors. */
  readonly complaints: readonly string[];
  stop(): Promise<void>;
}

const factories = { poll: createPollTransport, stream: createStreamTransport, sse: createSseTransport };

/** A server of the HTTP family on the memory store, at a free port of the loopback. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const limits = checkLimits({ ...defaultLimits, ...options.limits });
  const clock = options.clock ?? systemClock;
  const random = createSystemRandom();
  const complaints: string[] = [];
  const complain = (fields: object, text: string): void => {
    const { err } = fields as { err?: Error };
    complaints.push(err === undefined ? text : `${text}: ${err.stack ?? err.message}`);
  };
  const log: Log = { debug: () => undefined, info: () => undefined, warn: complain, error: complain };
  const store = await createStore('memory:', { clock, random, limits, log });
  const namespaces = createNamespaces(options.namespaces ?? [], defaultRules, limits);
  const access = options.access ?? openAccess;
  const hub = createHub({ store, clock, random, access, namespaces, limits, log });
  await hub.start();
  const metrics = createMetrics({
    hub,
    figures: hub.figures,
    // Not the hand-driven one of a test: the metrics have a timer.
    clock: systemClock,
    version: '0.0.0',
    transports: ['http', 'poll', 'stream', 'sse'],
    webhooks: noWebhookFigures(),
  });
  const front = await createHttpFront({
    host: '127.0.0.1',
    port: 0,
    limits,
    hub,
    clock,
    random,
    log,
    metrics,
    version: '0.0.0',
    ...options.front,
  });
  const host: Host = { hub, records: hub.store.records, limits, clock, random, log };
  const transports = (options.transports ?? ['poll', 'stream', 'sse']).map((name) => factories[name](front));
  for (const transport of transports) await transport.start(host);
  options.prepare?.(front);
  await front.listen();
  let hasStopped = false;
  const stop = async (): Promise<void> => {
    if (hasStopped) return;
    hasStopped = true;
    const now = AbortSignal.abort();
    hub.beginDrain();
    for (const transport of transports) await transport.drain(now);
    await front.close(50);
    metrics.stop();
    await hub.stop();
  };
  return {
    front,
    hub,
    host,
    port: Number(new URL(front.url).port),
    transports,
    complaints,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
