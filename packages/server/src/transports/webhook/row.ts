import type { Identity } from '../../core/sessions/access.ts';
import type { Progress } from '../../core/seams/subscription-api.ts';
import type { DeliveryFormat } from './wire.ts';

/** A webhook as it is kept in the store. Everything that a restart needs, and nothing that time alone tells. */
export interface WebhookRow {
  readonly id: string;
  readonly url: string;
  readonly filter: string;
  readonly format: DeliveryFormat;
  /** The current one first; during a rotation the one before it as well. */
  readonly secrets: readonly string[];
  /** Until then the second secret signs too. */
  readonly rotationEndsMs?: number | undefined;
  /** Who registered it: only they and administrators see it. */
  readonly subject?: string | undefined;
  /** With whose rights its messages are read. Rows of before there were tokens have none. */
  readonly runsAs?: Identity | undefined;
  readonly createdMs: number;
  /**
   * Delivers nothing until it is resumed. `gone`: the receiver said so itself (410). `unauthorized`: the token that it runs
   * by has expired or was revoked, or does not allow this any more.
   */
  readonly paused?: 'asked' | 'gone' | 'unauthorized' | undefined;
  readonly progress: Progress;
  /** Attempts that have failed in a row. */
  readonly failures: number;
  readonly lastError?: string | undefined;
  readonly nextAttemptMs?: number | undefined;
  /** Messages that were gone before they could be delivered, most recent only, as a gap notice. */
  readonly lastGap?: object | undefined;
}

/**
 * An identity as a webhook keeps it. What an administrator sets going goes on after the token that was used for it, until
 * that or its subject is revoked.
 */
export function keptIdentity({ subject, isAdmin, claims }: Identity): Identity {
  if (claims === undefined) return { subject, isAdmin };
  const expiresAtMs = isAdmin ? Number.MAX_SAFE_INTEGER : claims.expiresAtMs;
  return { subject, isAdmin, claims: { ...claims, expiresAtMs } };
}

/** The table of `Host.records`; the key is the webhook's id. */
export const webhookTable = 'webhooks';

export function encodeRow(row: WebhookRow): Buffer {
  return Buffer.from(JSON.stringify(row));
}

/** The store has checked that the bytes are those that were written. */
export function decodeRow(bytes: Buffer): WebhookRow {
  return JSON.parse(bytes.toString()) as WebhookRow;
}
