import { authLimits } from '../auth/limits.ts';
import {
  coreLimits,
  defaultsOf,
  type LimitDeclaration,
  type LimitDeclarations,
  type LimitsOf,
} from '../core/limits.ts';
import { httpLimits } from '../http/limits.ts';
import { netLimits } from '../net/limits.ts';
import { grpcLimits } from '../transports/grpc/limits.ts';
import { mqttLimits } from '../transports/mqtt/limits.ts';
import { partsLimits } from '../transports/parts/limits.ts';
import { pollLimits } from '../transports/poll/limits.ts';
import { socketioLimits } from '../transports/socketio/limits.ts';
import { stompLimits } from '../transports/stomp/limits.ts';
import { webhookLimits } from '../transports/webhook/limits.ts';
import { websocketLimits } from '../websocket/limits.ts';

/**
 * All owners of limits, in the order of the documentation. Names are unique among all of them: they share one section.
 */
export const limitOwners: readonly LimitDeclarations[] = [
  coreLimits,
  partsLimits,
  netLimits,
  httpLimits,
  pollLimits,
  websocketLimits,
  socketioLimits,
  stompLimits,
  mqttLimits,
  grpcLimits,
  webhookLimits,
  authLimits,
];

/** Every limit of the server: the section `limits` of the configuration. */
export type AllLimits = LimitsOf<
  typeof coreLimits &
    typeof partsLimits &
    typeof netLimits &
    typeof httpLimits &
    typeof pollLimits &
    typeof websocketLimits &
    typeof socketioLimits &
    typeof stompLimits &
    typeof mqttLimits &
    typeof grpcLimits &
    typeof webhookLimits &
    typeof authLimits
>;

export const limitDeclarations = Object.assign({}, ...limitOwners) as Readonly<
  Record<keyof AllLimits, LimitDeclaration>
>;

export const defaultLimits: AllLimits = defaultsOf(limitDeclarations);

interface Relation {
  /** A sentence for the operator, without its full stop. */
  readonly rule: string;
  readonly holds: (limits: AllLimits) => boolean;
}

/** All limits that depend on each other. */
export const limitRelations: readonly Relation[] = [
  {
    rule: 'limits.pageMessagesDefault must not exceed limits.pageMessagesMax',
    holds: ({ pageMessagesDefault, pageMessagesMax }) => pageMessagesDefault <= pageMessagesMax,
  },
  {
    rule: 'limits.headerBytesMax must hold more than one line of STOMP',
    holds: ({ stompLineBytesMax, headerBytesMax }) => stompLineBytesMax < headerBytesMax,
  },
  {
    rule: 'limits.outboundBytesMax must hold one batch beside outboundHeldFromBytes',
    holds: ({ outboundHeldFromBytes, batchBytesMax, outboundBytesMax }) =>
      outboundHeldFromBytes + batchBytesMax <= outboundBytesMax,
  },
];

/**
 * Throws if a limit is not an allowed number, or if limits contradict each other: a mistake of the operator, found at
 * start.
 */
export function checkLimits(limits: AllLimits): AllLimits {
  for (const [name, { max }] of Object.entries(limitDeclarations)) {
    const value = limits[name as keyof AllLimits];
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`limits.${name} must be a whole number ≥ 0`);
    if (max !== undefined && value > max) throw new RangeError(`limits.${name} is at most ${max}`);
  }
  const broken = limitRelations.find(({ holds }) => !holds(limits));
  if (broken !== undefined) throw new RangeError(broken.rule);
  return limits;
}
