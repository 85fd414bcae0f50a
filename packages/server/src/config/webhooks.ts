import { parseDurationMs } from '../core/start.ts';
import type { Config } from './schema.ts';

/** What webhooks are told of the configuration. */
export interface WebhookSettings {
  readonly allowTargets: readonly string[];
  readonly verify: boolean;
  readonly retryDelaysMs: readonly number[];
}

export function webhooksOf({ webhooks }: Config): WebhookSettings {
  const { allowTargets, verify, retryDelays } = webhooks;
  // The schema has checked how they are written.
  return { allowTargets, verify, retryDelaysMs: retryDelays.map((text) => parseDurationMs(text)!) };
}
