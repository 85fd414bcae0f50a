import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { Admission } from '../core/sessions/admission.ts';
import type { HubFront } from '../core/seams/hub-api.ts';

/** The hub's counters; read when a scrape asks, so that counting costs an addition. */
export interface MetricsFigures {
  readonly published: number;
  readonly refused: number;
  readonly delivered: number;
  /** Publishes and other operations that the rate limit refused. */
  readonly rateLimited: number;
  readonly flushes: number;
  readonly subscriptions: number;
  readonly subscriptionsByTransport: ReadonlyMap<string, number>;
  /** Open sessions by transport. */
  readonly sessions: ReadonlyMap<string, number>;
}

export interface MetricsSource {
  readonly hub: Pick<HubFront, 'health' | 'head' | 'isDraining'>;
  readonly figures: MetricsFigures;
  /** Absent while authentication is off. */
  readonly admission?: Pick<Admission, 'figures'> | undefined;
}

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

/**
 * Metrics in Prometheus' text format: counts and gauges of the hub, the store, and the process (memory, CPU, event-loop
 * delay, garbage collection). Each server has its own registry.
 */
export function createMetrics({ hub, figures, admission }: MetricsSource): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };

  counter('everywire_published_total', 'Messages stored.', () => figures.published);
  counter('everywire_refused_total', 'Messages refused.', () => figures.refused);
  counter('everywire_rate_limited_total', 'Refusals because of a rate limit.', () => figures.rateLimited);
  counter('everywire_delivered_total', 'Deliveries: messages times subscriptions.', () => figures.delivered);
  counter('everywire_flushes_total', 'Event-loop turns with at least one delivery.', () => figures.flushes);
  gauge('everywire_subscriptions', 'Subscriptions of this node.', () => figures.subscriptions);
  gauge('everywire_head_seq', 'The seq of the newest message of the store.', () => hub.head.seq);
  gauge('everywire_store_up', '1 while the store is healthy.', () => (hub.health().ok ? 1 : 0));
  gauge('everywire_draining', '1 while this node is stopping.', () => (hub.isDraining ? 1 : 0));
  const nobody = { unauthenticated: 0, waiting: 0, refused: 0 };
  const connections = (): Admission['figures'] => admission?.figures ?? nobody;
  gauge(
    'everywire_unauthenticated_connections',
    'Connections being read whose peers are not authenticated yet.',
    () => connections().unauthenticated,
  );
  gauge(
    'everywire_waiting_connections',
    'Connections waiting for others of their address to authenticate.',
    () => connections().waiting,
  );
  counter(
    'everywire_refused_connections_total',
    'Connections that were closed because there were too many.',
    () => connections().refused,
  );
  const gaugeByTransport = (name: string, help: string, figure: ReadonlyMap<string, number>): void => {
    new Gauge({
      name,
      help,
      labelNames: ['transport'] as const,
      registers,
      collect() {
        this.reset();
        for (const [transport, value] of figure) this.set({ transport }, value);
      },
    });
  };
  gaugeByTransport('everywire_connections', 'Open sessions by transport.', figures.sessions);
  gaugeByTransport(
    'everywire_subscriptions_by_transport',
    'Subscriptions of this node, by transport.',
    figures.subscriptionsByTransport,
  );
  return { contentType: registry.contentType, render: () => registry.metrics() };
}
