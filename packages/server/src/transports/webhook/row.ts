import type { Progress } from '../../core/transport.ts';
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
  /** Who registered it: with this right its messages are read, and only they and admins see it. */
  readonly subject?: string | undefined;
  readonly createdMs: number;
  /** Delivers nothing until it is resumed. `gone`: the receiver said so itself (410). */
  readonly paused?: 'asked' | 'gone' | undefined;
  readonly progress: Progress;
  /** Attempts that have failed in a row. */
  readonly failures: number;
  readonly lastError?: string | undefined;
  readonly nextAttemptMs?: number | undefined;
  /** Messages that were gone before they could be delivered, most recent only, as a gap notice. */
  readonly lastGap?: object | undefined;
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
