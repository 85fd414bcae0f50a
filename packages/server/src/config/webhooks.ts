import { parseDurationMs } from '@everywire/protocol';
import type { Config } from './schema.ts';

/** The configuration of webhooks: lengths of time as numbers. */
export function webhooksOf({ webhooks }: Config) {
  const { allowTargets, verify, retryDelays } = webhooks;
  // The schema has checked their syntax.
  return { allowTargets, verify, retryDelaysMs: retryDelays.map((text) => parseDurationMs(text)!) };
}
