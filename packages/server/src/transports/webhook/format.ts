import { formatTime } from '@everywire/protocol';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Message } from '../../core/log/message.ts';
import { cloudEventHeaders, cloudEventJson } from '@everywire/wires/webhook';

/** The format of a delivery: our envelope, or a CloudEvent 1.0 in one of the two modes of its HTTP binding. */
export const deliveryFormats = ['envelope', 'cloudevents', 'cloudevents-binary'] as const;
export type DeliveryFormat = (typeof deliveryFormats)[number];

export interface Delivery {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Bytes and type of one delivery. The same message always gives the same bytes; only the signature is new for each
 * attempt.
 */
export function deliveryOf(message: Message, format: DeliveryFormat): Delivery {
  switch (format) {
    case 'envelope':
      return { headers: { 'Content-Type': 'application/json' }, body: Buffer.from(envelopeJson(message)) };
    case 'cloudevents':
      return {
        headers: { 'Content-Type': 'application/cloudevents+json; charset=utf-8' },
        body: Buffer.from(cloudEventJson(message)),
      };
    case 'cloudevents-binary':
      return {
        headers: cloudEventHeaders(message),
        body: message.payload,
      };
  }
}

/** The body of `POST /webhooks/<id>/test`: an envelope of a channel that no message can have. */
export function testBody(id: string, nowMs: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      channel: '$webhooks/test',
      id,
      time: formatTime(nowMs),
      event: 'everywire.test',
      type: 'application/json',
      data: { test: true },
    }),
  );
}

/** The question to a new endpoint: if it answers with the same challenge, it wants to be called. */
export function challengeBody(id: string, nowMs: number, challenge: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      channel: '$webhooks/challenge',
      id,
      time: formatTime(nowMs),
      event: 'everywire.challenge',
      type: 'application/json',
      data: { challenge },
    }),
  );
}

/** Whether the answer contains the challenge: as the whole body, or as the member `challenge` of a JSON object. */
export function hasChallenge(body: string, challenge: string): boolean {
  if (body.trim() === challenge) return true;
  try {
    const value = JSON.parse(body) as unknown;
    return (
      typeof value === 'object' &&
      value !== null &&
      (value as { challenge?: unknown }).challenge === challenge
    );
  } catch {
    return false;
  }
}
