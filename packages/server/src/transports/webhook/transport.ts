import type { FastifyInstance } from 'fastify';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import { noWebhookFigures, type WebhookFigures } from './figures.ts';
import { WebhookRegistry } from './registry.ts';
import { addWebhookRoutes } from './routes.ts';
import { Sender, type SenderOptions } from './sender.ts';
import { createTargetRules } from './targets.ts';
import type { WebhookHost } from './limits.ts';
import { cutAt } from '../../net/drain.ts';

export interface WebhookFront {
  /** `http://host:port`, once it listens. */
  readonly url: string;
  /** Adds routes. Call it before the server listens. */
  extend(register: (app: FastifyInstance) => void): void;
}

export interface WebhookSettings {
  /** Allowed targets outside the public Internet: hosts, addresses and networks, with an optional port. */
  readonly allowTargets: readonly string[];
  /** Whether to ask a new endpoint if it wants to be called. */
  readonly verify: boolean;
  /** The waits before the second attempt, the third and so on; the last one repeats. */
  readonly retryDelaysMs: readonly number[];
  /** Counted and kept up here, for the metrics. */
  readonly figures?: WebhookFigures | undefined;
}

export interface WebhookTransportOptions extends WebhookSettings {
  /** For tests. */
  readonly lookup?: SenderOptions['lookup'];
  readonly ca?: string | undefined;
}

const name = 'webhook';

/** Webhooks: the server calls endpoints that cannot hold a connection (Standard Webhooks). */
export function createWebhookTransport(front: WebhookFront, options: WebhookTransportOptions): Transport {
  return new WebhookTransport(front, options);
}

class WebhookTransport implements Transport {
  readonly name = name;
  readonly #front: WebhookFront;
  readonly #options: WebhookTransportOptions;
  #registry!: WebhookRegistry;
  #sender!: Sender;

  constructor(front: WebhookFront, options: WebhookTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const url = `${this.#front.url}/webhooks`;
    return [
      {
        transport: name,
        url,
        tryIt: `curl -H 'Content-Type: application/json' -d '{"url":"https://example.com/hook","filter":"demo"}' ${url}`,
      },
    ];
  }

  async start(host: WebhookHost): Promise<void> {
    const { allowTargets, verify, retryDelaysMs, lookup, ca, figures = noWebhookFigures() } = this.#options;
    const { limits } = host;
    const rules = createTargetRules(allowTargets);
    this.#sender = new Sender({
      rules,
      timeoutMs: limits.webhookTimeoutMs,
      answerBytesMax: limits.webhookAnswerBytesMax,
      perHostMax: limits.webhooksPerHostMax,
      userAgent: 'Everywire',
      lookup,
      ca,
      figures,
    });
    this.#registry = new WebhookRegistry({ host, sender: this.#sender, rules, verify, retryDelaysMs });
    this.#front.extend((app) => addWebhookRoutes(app, this.#registry, limits));
    figures.states = () => this.#registry.states();
    figures.lagMs = () => this.#registry.lagMs();
    await this.#registry.start();
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const stopped = this.#registry.stop();
    await cutAt(deadline, { gone: stopped, cut: () => void this.#sender.stop() });
    await this.#sender.stop();
  }
}
