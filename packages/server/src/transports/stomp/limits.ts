import Type from 'typebox';
import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import { ifTaken, portSchema, strict } from '../../net/port-schema.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';
import type { PartsLimits } from '../parts/limits.ts';

const kib = 1024;

/** The first byte of `Draft.native` in messages that STOMP clients published. It is stored: never change it. */
export const stompNativeByte = 2;

export const stompLimits = {
  stompHeadersMax: {
    default: 64,
    about:
      'STOMP: headers of a frame, one line of them, its command, and names that clients choose (ids, transactions).',
  },
  stompLineBytesMax: { default: 4 * kib },
  stompCommandBytesMax: { default: 32 },
  stompIdBytesMax: { default: 255 },
  stompWindowMessagesDefault: {
    default: 256,
    about:
      'STOMP: messages delivered and not acknowledged, by default and as the most that `prefetch-count` can ' +
      'ask for.',
  },
  stompWindowMessagesMax: { default: 10_000 },
  stompTransactionsMax: {
    default: 64,
    about: 'STOMP: open transactions of a connection, and what they hold together until COMMIT.',
  },
  stompTransactionBytesMax: { default: 4096 * kib },
  stompBeatMsMin: {
    default: 1_000,
    about: 'STOMP: the shortest and the longest time between heart-beats that is agreed to.',
  },
  stompBeatMsMax: { default: 18 * 3_600_000 },
  stompDurablesMax: {
    default: 10_000,
    about:
      'STOMP: how many durable subscriptions the server keeps in all and for one subject, and how long it ' +
      'keeps an unused one. The limit per subject needs authentication and excludes administrators.',
  },
  stompDurablesPerSubjectMax: { default: 1_000 },
  stompDurableIdleMs: { default: 30 * 24 * 3_600_000 },
} satisfies LimitDeclarations;

export type StompLimits = WebSocketLimits & PartsLimits & LimitsOf<typeof stompLimits>;

export type StompHost = Host<StompLimits>;

/** The section `stomp` of the configuration. */
export const stompSection = Type.Object(
  {
    port: portSchema(61613, `Port of STOMP over TCP. ${ifTaken}`),
    tlsPort: portSchema(61614, `Port of STOMP over TLS, given tls.cert. ${ifTaken}`),
  },
  strict,
);
