import type { Identity } from '../../core/sessions/access.ts';
import type { DurableKind } from '../../core/durable/kind.ts';
import { checkEarlierProgress } from '../../core/durable/progress.ts';
import type { DurableRow } from '../../core/durable/row.ts';
import type { WebhookLimits } from './limits.ts';
import type { ParkedRow } from './parked-channels.ts';
import type { DeliveryFormat } from './format.ts';

/** The state of a webhook as its durable session keeps it. Its position is the session's one subscription. */
export interface WebhookRow {
  readonly id: string;
  readonly url: string;
  readonly filter: string;
  readonly format: DeliveryFormat;
  /** The current one first; during a rotation the one before it as well. */
  readonly secrets: readonly string[];
  /** Until then the second secret signs too. */
  readonly rotationEndsMs?: number | undefined;
  /** The subject that registered it: only this subject and administrators see it. */
  readonly subject?: string | undefined;
  /** The rights for reading its messages. Rows from before tokens existed have none. */
  readonly runsAs?: Identity | undefined;
  readonly createdMs: number;
  /**
   * Delivers nothing until it is resumed. `gone`: the receiver answered 410. `unauthorized`: its token has expired, was
   * revoked, or no longer allows the filter.
   */
  readonly paused?: 'asked' | 'gone' | 'unauthorized' | undefined;
  /** Attempts that have failed in a row. */
  readonly failures: number;
  readonly lastError?: string | undefined;
  readonly nextAttemptMs?: number | undefined;
  /** The most recent gap notice: messages that were gone before their delivery. */
  readonly lastGap?: object | undefined;
  /** Channels that are set aside; the position of the subscription is beyond what they have to deliver. */
  readonly parked?: readonly ParkedRow[] | undefined;
}

/**
 * The identity that a webhook keeps. The webhook of an administrator continues after the token expires, until an
 * administrator revokes the token or its subject.
 */
export function keptIdentity({ subject, isAdmin, claims }: Identity): Identity {
  if (claims === undefined) return { subject, isAdmin };
  const expiresAtMs = isAdmin ? Number.MAX_SAFE_INTEGER : claims.expiresAtMs;
  return { subject, isAdmin, claims: { ...claims, expiresAtMs } };
}

/** Webhooks as durable sessions, by id. The number per subject has a limit, which the registry checks. */
export function webhookKind(limits: Pick<WebhookLimits, 'webhooksInAllMax'>): DurableKind<WebhookRow> {
  return {
    what: 'webhooks',
    table: 'webhooks',
    readState: (stored) => (isWebhookRow(stored) ? stored : undefined),
    earlier: readEarlierRow,
    quota: { policy: 'refuse', max: limits.webhooksInAllMax, perSubjectMax: undefined },
  };
}

function isWebhookRow(stored: unknown): stored is WebhookRow {
  if (typeof stored !== 'object' || stored === null) return false;
  const { id, url, filter, secrets } = stored as Partial<WebhookRow>;
  return [id, url, filter].every((text) => typeof text === 'string') && Array.isArray(secrets);
}

/** Version 0.1 wrote the state and the position as one object. */
function readEarlierRow(bytes: Buffer): DurableRow | undefined {
  const { progress: stored, ...state } = JSON.parse(bytes.toString()) as Record<string, unknown>;
  const progress = checkEarlierProgress(stored ?? {});
  if (progress === undefined || !isWebhookRow(state)) return undefined;
  return {
    node: undefined,
    presence: 'away',
    sinceMs: state.createdMs,
    keepMs: undefined,
    subject: state.subject,
    rights: undefined,
    maybeDeliveredThroughSeq: 0,
    subscriptions: [{ id: '', filter: state.filter, progress }],
    state,
  };
}
