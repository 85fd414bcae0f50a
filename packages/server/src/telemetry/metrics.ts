import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { errorTable, type GapReason } from '@everywire/protocol';
import type { Clock } from '../core/clock.ts';
import type { Admission } from '../core/sessions/admission.ts';
import type { Figures, HubFront } from '../core/seams/hub-api.ts';
import type { StoreUsage } from '../core/seams/store.ts';
import { LoopDelay } from './loop-delay.ts';
import { histogramText } from './text.ts';

/** What the metrics show of webhooks. */
export interface WebhookMetrics {
  readonly taken: number;
  readonly failed: number;
  states(): Readonly<Record<string, number>>;
  lagMs(): number;
}

export interface MetricsSource {
  readonly hub: Pick<HubFront, 'health' | 'head' | 'isDraining'> & {
    readonly durable: { readonly counts: ReadonlyMap<string, () => number> };
    readonly groups: { readonly size: number };
    readonly store: { usage(): StoreUsage };
  };
  /** Read when a scrape asks, so that counting costs an addition. */
  readonly figures: Readonly<Figures>;
  readonly clock: Clock;
  readonly version: string;
  /** All that can appear as the label `transport`, so that every series is there from the start. */
  readonly transports: readonly string[];
  readonly webhooks: WebhookMetrics;
  /** Absent while authentication is off. */
  readonly admission?: Pick<Admission, 'figures'> | undefined;
}

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
  stop(): void;
}

const gapReasons = Object.keys({
  retention: true,
  deleted: true,
  restored: true,
  damaged: true,
  unknown: true,
} satisfies Record<GapReason, true>);

/** Values by label. */
type Labelled = Iterable<readonly [label: string, value: number]>;

/**
 * Metrics in Prometheus' text format: counts, gauges and histograms of the hub, the store, and the process (memory, CPU,
 * event-loop delay, garbage collection). Each server has its own registry.
 */
export function createMetrics(source: MetricsSource): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const series = new Series(registry);
  addTraffic(series, source);
  addStates(series, source);
  addConnections(series, source);
  addWebhooks(series, source);
  const { figures, clock } = source;
  const loopDelay = new LoopDelay(clock);
  const histograms = (): readonly string[] => [
    histogramText(
      'everywire_publish_duration_seconds',
      'From a publish to its durable place, one observation for each append.',
      figures.publishing,
    ),
    histogramText(
      'everywire_delivery_duration_seconds',
      'From a durable message to the end of its deliveries, one observation for each turn of the event loop.',
      figures.delivering,
    ),
    histogramText(
      'everywire_loop_delay_seconds',
      'How much later than due the event loop runs a timer, ten times per second.',
      loopDelay.durations,
    ),
  ];
  return {
    contentType: registry.contentType,
    render: async () => `${await registry.metrics()}\n${histograms().join('\n')}`,
    stop: () => loopDelay.stop(),
  };
}

function addTraffic(series: Series, { figures, transports }: MetricsSource): void {
  const { traffic, refusedByCode, gaps } = figures;
  series.counter('everywire_published_total', 'Messages stored.', () => figures.published);
  series.counter('everywire_refused_total', 'Messages refused.', () => figures.refused);
  series.counter(
    'everywire_rate_limited_total',
    'Refusals because of a rate limit.',
    () => figures.rateLimited,
  );
  series.counter(
    'everywire_delivered_total',
    'Deliveries: messages times subscriptions.',
    () => figures.delivered,
  );
  series.counter(
    'everywire_delivery_turns_total',
    'Turns of the event loop in which something was delivered.',
    () => figures.deliveryTurns,
  );
  for (const [name, help, key] of [
    ['everywire_published_by_transport_total', 'Messages stored, by transport.', 'published'],
    ['everywire_published_bytes_total', 'Bytes of payload stored, by transport.', 'publishedBytes'],
    ['everywire_delivered_by_transport_total', 'Deliveries, by transport.', 'delivered'],
    ['everywire_delivered_bytes_total', 'Bytes of payload delivered, by transport.', 'deliveredBytes'],
  ] as const) {
    series.counters(name, help, 'transport', () =>
      from(
        transports,
        [...traffic].map(([transport, counters]) => [transport, counters[key]]),
      ),
    );
  }
  const codes = Object.keys(errorTable);
  series.counters(
    'everywire_refused_by_code_total',
    'Messages refused, by the code of the error.',
    'code',
    () => from(codes, refusedByCode),
  );
  series.counters('everywire_gaps_total', 'Gaps that readers got notice of, by reason.', 'reason', () =>
    from(gapReasons, gaps),
  );
}

function addStates(series: Series, { hub, figures, transports, version }: MetricsSource): void {
  series.gauge('everywire_subscriptions', 'Subscriptions of this node.', () => figures.subscriptions);
  series.gauges('everywire_connections', 'Open sessions by transport.', 'transport', () =>
    from(transports, figures.sessions),
  );
  series.gauges(
    'everywire_subscriptions_by_transport',
    'Subscriptions of this node, by transport.',
    'transport',
    () => from(transports, figures.subscriptionsByTransport),
  );
  series.gauge('everywire_head_seq', 'The seq of the newest message of the store.', () => hub.head.seq);
  series.gauge('everywire_store_up', '1 while the store is healthy.', () => (hub.health().ok ? 1 : 0));
  series.gauge('everywire_draining', '1 while this node is stopping.', () => (hub.isDraining ? 1 : 0));
  series.gauge('everywire_channels', 'Channels in the store.', () => hub.store.usage().channels);
  series.gauge(
    'everywire_store_bytes',
    'Length of the data file; with the memory store, bytes of all payloads.',
    () => hub.store.usage().bytes,
  );
  series.gauge(
    'everywire_store_free_bytes',
    'Room for more: free on the disk, and free inside the data file. NaN for a store without a disk.',
    () => hub.store.usage().freeBytes ?? Number.NaN,
  );
  series.gauge('everywire_groups', 'Consumer groups that this node distributes.', () => hub.groups.size);
  series.gauges(
    'everywire_durable_sessions',
    'Sessions that outlive their connections, open or away, by kind.',
    'kind',
    () => [...hub.durable.counts].map(([kind, count]) => [kind, count()] as const),
  );
  new Gauge({
    name: 'everywire_build_info',
    help: 'Always 1; the labels name the versions.',
    labelNames: ['version', 'node'],
    registers: [series.registry],
  }).set({ version, node: process.versions.node }, 1);
}

function addConnections(series: Series, { admission }: MetricsSource): void {
  const unbounded = { unauthenticated: 0, waiting: 0, refused: 0 };
  const connections = (): Admission['figures'] => admission?.figures ?? unbounded;
  series.gauge(
    'everywire_unauthenticated_connections',
    'Connections being read whose peers are not authenticated yet.',
    () => connections().unauthenticated,
  );
  series.gauge(
    'everywire_waiting_connections',
    'Connections waiting for others of their address to authenticate.',
    () => connections().waiting,
  );
  series.counter(
    'everywire_refused_connections_total',
    'Connections that were closed because there were too many.',
    () => connections().refused,
  );
}

function addWebhooks(series: Series, { webhooks }: MetricsSource): void {
  series.gauges('everywire_webhooks', 'Webhooks by state.', 'state', () => Object.entries(webhooks.states()));
  series.counter(
    'everywire_webhook_attempts_total',
    'Attempts to call a webhook.',
    () => webhooks.taken + webhooks.failed,
  );
  series.counter(
    'everywire_webhook_failures_total',
    'Attempts that failed: no answer, or one that is not 2xx.',
    () => webhooks.failed,
  );
  series.gauge(
    'everywire_webhook_lag_seconds',
    'Age of the oldest message that a webhook has not delivered; paused webhooks do not count.',
    () => webhooks.lagMs() / 1_000,
  );
}

/** All of `labels` with what is known, and 0 for the others. */
function from(labels: readonly string[], known: Labelled): Labelled {
  return new Map([...labels.map((label) => [label, 0] as const), ...known]);
}

/** Series whose values are read when a scrape asks. */
class Series {
  readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  counters(name: string, help: string, labelName: string, read: () => Labelled): void {
    new Counter({
      name,
      help,
      labelNames: [labelName],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [label, value] of read()) this.inc({ [labelName]: label }, value);
      },
    });
  }

  gauges(name: string, help: string, labelName: string, read: () => Labelled): void {
    new Gauge({
      name,
      help,
      labelNames: [labelName],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [label, value] of read()) this.set({ [labelName]: label }, value);
      },
    });
  }
}
