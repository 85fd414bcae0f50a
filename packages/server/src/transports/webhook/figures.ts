/** What the metrics show of webhooks. */
export interface WebhookFigures {
  /** Attempts that the receiver took, and that failed. */
  taken: number;
  failed: number;
  /** Webhooks by state. */
  states: () => Readonly<Record<WebhookState, number>>;
  /** The age of the oldest message that a webhook has not delivered, among those that are not paused. */
  lagMs: () => number;
}

export type WebhookState = 'active' | 'failing' | 'paused';

/** Until the transport has started. */
export function noWebhookFigures(): WebhookFigures {
  return { taken: 0, failed: 0, states: () => ({ active: 0, failing: 0, paused: 0 }), lagMs: () => 0 };
}
