import type { Found } from '../../core/durable/kind.ts';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import {
  MqttSubscription,
  type InFlight,
  type Origin,
  type RetainedPlace,
  type SessionState,
  type SubscriptionOptions,
} from './state.ts';
import type { Target } from './targets.ts';
import type { Will, WillProperties } from '@everywire/wires/mqtt';

/**
 * The durable rows of a session. Data that change rarely are in another row than data that change with every
 * acknowledgement.
 */
export const tables = {
  /** The client id, the will and the subscriptions. */
  session: 'mqtt-sessions',
  /** The progress of its subscriptions, and the packets in flight to the client. */
  window: 'mqtt-windows',
  /** A row per packet id received at QoS 2, written together with the message: `<session>/<packet id>`. */
  received: 'mqtt-received',
} as const;

/** The part of a session that changes rarely. */
export interface StoredSession {
  readonly clientId: string;
  /** The will, if it is neither published nor cancelled. */
  readonly will: Will | undefined;
  readonly subscriptions: readonly StoredSubscription[];
}

export interface StoredSubscription {
  readonly no: number;
  readonly filter: string;
  readonly target: Omit<Target, 'from'>;
  readonly options: SubscriptionOptions;
}

/** The part of a session that changes with every acknowledgement, besides the progress of its subscriptions. */
export interface StoredWindow {
  readonly retained: readonly StoredRetained[];
  readonly inFlight: readonly StoredInFlight[];
  readonly lastPacketId: number;
}

type StoredRetained = readonly [no: number, afterSeq: number, throughSeq: number];

type StoredInFlight = readonly [
  packetId: number,
  qos: 1 | 2,
  seq: number,
  no: number,
  isReleased: 0 | 1,
  origin?: Origin,
  channel?: string,
  timeMs?: number,
  /** The identifier of its subscription, which may be gone; 0: it had none. Earlier versions did not store it. */
  identifier?: number,
  /** Bit 1: cursors. Bit 2: the retain flag as published. */
  flags?: number,
];

/** The session as JSON. */
export function encodeSession({ will, ...session }: StoredSession): object {
  return { ...session, will: will && encodeWill(will) };
}

/** `undefined` if `encodeSession` did not write it. */
export function readSession(stored: unknown): StoredSession | undefined {
  const { clientId, will, subscriptions } = fieldsOf(stored);
  if (typeof clientId !== 'string') return undefined;
  if (!Array.isArray(subscriptions) || !subscriptions.every(isSubscription)) return undefined;
  if (will !== undefined && !isWill(will)) return undefined;
  return { clientId, will: will && decodeWill(will), subscriptions };
}

export function subscriptionsOf(state: SessionState): StoredSubscription[] {
  return [...state.subscriptions.values()].map(({ no, filter, target, options }) => {
    const { kind, filter: hubFilter, isShared } = target;
    return { no, filter, target: { kind, filter: hubFilter, isShared }, options };
  });
}

/** The progress of the subscriptions that keep their position while the client is away. */
export function progressOf(state: SessionState): SubscriptionProgress[] {
  return [...state.subscriptions.values()].flatMap(({ no, target, progress }) =>
    progress === undefined ? [] : [{ id: String(no), filter: target.filter, progress }],
  );
}

export function windowOf(state: SessionState): StoredWindow {
  const retained = [...state.subscriptions.values()].flatMap(({ no, retained: place }) =>
    place === undefined ? [] : [[no, place.afterSeq, place.throughSeq] as const],
  );
  const inFlight: StoredInFlight[] = [];
  for (const sent of state.inFlight.values()) {
    const { packetId, qos, seq, subscription, isReleased, channel, timeMs } = sent;
    const place = [packetId, qos, seq, subscription.no, isReleased ? 1 : 0] as const;
    // After a crash the group may give it to another member; at QoS 2 it stays with this session.
    const origin = sent.origin === 'log' && subscription.target.isShared ? 'detached' : sent.origin;
    if (isReleased || origin === 'log') inFlight.push(place);
    else if (sent.origin !== 'log' || qos === 2) {
      const { identifier = 0, withCursor, retainAsPublished } = subscription.options;
      const flags = Number(withCursor) + 2 * Number(retainAsPublished);
      inFlight.push([...place, origin, channel, timeMs, identifier, flags]);
    }
  }
  return { retained, inFlight, lastPacketId: state.lastPacketId };
}

/** `undefined` if `windowOf` did not write it. */
export function readWindow(stored: unknown): StoredWindow | undefined {
  const { retained, inFlight, lastPacketId } = fieldsOf(stored);
  if (!Array.isArray(retained) || !retained.every(isRetained)) return undefined;
  if (!Array.isArray(inFlight) || !inFlight.every(isInFlight)) return undefined;
  return typeof lastPacketId === 'number' ? { retained, inFlight, lastPacketId } : undefined;
}

/** Fills `state` from the rows. */
export function restore(
  state: SessionState,
  { state: session, window, subscriptions, parts }: Found<StoredSession, StoredWindow>,
): void {
  const byNo = new Map<number, MqttSubscription>();
  for (const { no, filter, target, options } of session.subscriptions) {
    byNo.set(no, new MqttSubscription(no, filter, { ...target, from: undefined }, options));
  }
  for (const { id, progress } of subscriptions) {
    const subscription = byNo.get(Number(id));
    if (subscription !== undefined) subscription.saved = progress;
  }
  for (const [no, afterSeq, throughSeq] of window?.retained ?? []) {
    const subscription = byNo.get(no);
    const place: RetainedPlace = { afterSeq, throughSeq };
    if (subscription !== undefined) subscription.retained = place;
  }
  const sent: Omit<InFlight, 'isOnWire'>[] = (window?.inFlight ?? []).map(
    ([
      packetId,
      qos,
      seq,
      no,
      isReleased,
      origin = 'log',
      channel = '',
      timeMs = 0,
      identifier = 0,
      flags = 0,
    ]) => ({
      packetId,
      qos,
      seq,
      subscription: byNo.get(no) ?? goneSubscription(identifier, flags),
      isReleased: isReleased === 1,
      origin,
      channel,
      timeMs,
    }),
  );
  const received = [...parts.keys()].map(Number);
  state.restore([...byNo.values()], sent, received, window?.lastPacketId ?? 0);
}

/** A placeholder for the ended subscription of a message in flight. */
function goneSubscription(identifier: number, flags: number): MqttSubscription {
  return new MqttSubscription(
    0,
    '',
    { kind: 'log', filter: '', isShared: false, from: undefined },
    {
      qos: 2,
      noLocal: false,
      retainAsPublished: (flags & 2) !== 0,
      identifier: identifier === 0 ? undefined : identifier,
      withCursor: (flags & 1) !== 0,
    },
  );
}

interface EncodedWill {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Will['qos'];
  readonly retain: boolean;
  readonly properties: Omit<WillProperties, 'correlationData'> & { readonly correlationData?: string };
}

function encodeWill({ payload, properties: { correlationData, ...properties }, ...will }: Will): EncodedWill {
  const encoded =
    correlationData === undefined ? {} : { correlationData: correlationData.toString('base64') };
  return { ...will, payload: payload.toString('base64'), properties: { ...properties, ...encoded } };
}

function decodeWill({ payload, properties: { correlationData, ...properties }, ...will }: EncodedWill): Will {
  const decoded =
    correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData, 'base64') };
  return { ...will, payload: Buffer.from(payload, 'base64'), properties: { ...properties, ...decoded } };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function isSubscription(value: unknown): value is StoredSubscription {
  const { no, filter, target, options } = fieldsOf(value);
  const { kind, filter: hubFilter, isShared } = fieldsOf(target);
  const isTarget =
    (kind === 'log' || kind === 'sys' || kind === 'notices') &&
    typeof hubFilter === 'string' &&
    typeof isShared === 'boolean';
  return typeof no === 'number' && typeof filter === 'string' && isTarget && isQos(fieldsOf(options)['qos']);
}

function isWill(value: unknown): value is EncodedWill {
  const { topic, payload, qos, properties } = fieldsOf(value);
  const { correlationData = '' } = fieldsOf(properties);
  return (
    typeof topic === 'string' &&
    typeof payload === 'string' &&
    isQos(qos) &&
    typeof properties === 'object' &&
    typeof correlationData === 'string'
  );
}

function isRetained(value: unknown): value is StoredRetained {
  return isNumbers(value, 3) && value.length === 3;
}

function isInFlight(value: unknown): value is StoredInFlight {
  return isNumbers(value, 5) && (value[1] === 1 || value[1] === 2);
}

/** Whether it is a list that begins with `count` numbers. */
function isNumbers(value: unknown, count: number): value is readonly unknown[] {
  if (!Array.isArray(value) || value.length < count) return false;
  return value.slice(0, count).every((one) => typeof one === 'number');
}

function isQos(value: unknown): value is Will['qos'] {
  return value === 0 || value === 1 || value === 2;
}
