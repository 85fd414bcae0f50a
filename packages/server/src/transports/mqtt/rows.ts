import type { Identity } from '../../core/sessions/access.ts';
import type { Progress } from '../../core/seams/subscription-api.ts';
import {
  MqttSubscription,
  type InFlight,
  type Origin,
  type RetainedPlace,
  type SessionState,
  type SubscriptionOptions,
} from './state.ts';
import type { Target } from './targets.ts';
import type { Version, Will, WillProperties } from '@everywire/wires/mqtt';

/** Durable rows of a session. What changes rarely is apart from what changes with every acknowledgement. */
export const tables = {
  /** Who it is, since when it is away, its will and its subscriptions. */
  head: 'mqtt-sessions',
  /** How far its subscriptions are, and what is in flight to the client. */
  window: 'mqtt-windows',
  /** A row per packet id that came at QoS 2, written together with the message: `<session>/<packet id>`. */
  received: 'mqtt-received',
} as const;

/**
 * `here`: its connection is open, or the server was killed. `drained`: the server sent it away. `away`: since `sinceMs`,
 * by the wall clock, which is all that a restart leaves to go by.
 */
export type Presence =
  { readonly kind: 'here' | 'drained' } | { readonly kind: 'away'; readonly sinceMs: number };

export interface Head {
  readonly clientId: string;
  /** Of the identity that it belongs to. */
  readonly subject: string | undefined;
  readonly version: Version;
  /** `neverExpires`: until it is ended. */
  readonly expirySeconds: number;
  readonly presence: Presence;
  /** Not yet published, and not cancelled. */
  readonly will: Will | undefined;
  /** What its client might do: the will is judged by it. Of a session without a will no right is kept. */
  readonly grant?: Pick<Identity, 'isAdmin' | 'claims'> | undefined;
  /** Messages up to here may have been sent although the rows do not say so: the server was killed. */
  readonly maybeSentThroughSeq: number;
  readonly subscriptions: readonly StoredSubscription[];
}

export interface StoredSubscription {
  readonly no: number;
  readonly filter: string;
  readonly target: Omit<Target, 'from'>;
  readonly options: SubscriptionOptions;
}

export interface WindowRow {
  readonly progress: ReadonlyMap<number, StoredProgress>;
  readonly inFlight: readonly StoredInFlight[];
  readonly lastPacketId: number;
}

interface StoredProgress {
  readonly progress: Progress | undefined;
  readonly retained: RetainedPlace | undefined;
}

type StoredInFlight = Omit<InFlight, 'subscription' | 'isOnWire'> & {
  readonly no: number;
};

/** MQTT 5 §3.1.2.11.2. */
export const neverExpires = 0xffffffff;

const format = 1;

export function encodeHead(head: Head): Buffer {
  const { will, ...rest } = head;
  return encode({ ...rest, will: will && encodeWill(will) });
}

export function decodeHead(row: Buffer): Head {
  const { will, ...rest } = decode(row) as Omit<Head, 'will'> & { readonly will?: EncodedWill };
  return { ...rest, subject: rest.subject, will: will && decodeWill(will) };
}

export function subscriptionsOf(state: SessionState): StoredSubscription[] {
  return [...state.subscriptions.values()].map(({ no, filter, target, options }) => {
    const { kind, filter: hubFilter, isShared } = target;
    return { no, filter, target: { kind, filter: hubFilter, isShared }, options };
  });
}

export function encodeWindow(state: SessionState): Buffer {
  const progress = [];
  for (const subscription of state.subscriptions.values()) {
    const { no, retained } = subscription;
    const known = subscription.progress;
    if (known === undefined && retained === undefined) continue;
    progress.push([
      no,
      known && [known.cursor, known.ackedAhead, known.deliveredThroughSeq],
      retained && [retained.afterSeq, retained.throughSeq],
    ]);
  }
  const inFlight = [];
  for (const sent of state.inFlight.values()) {
    const { packetId, qos, seq, subscription, isReleased, channel, timeMs } = sent;
    const place = [packetId, qos, seq, subscription.no, isReleased ? 1 : 0] as const;
    // After a crash a group gives it to somebody; at QoS 2 it is this one's all the same.
    const origin = sent.origin === 'log' && subscription.target.isShared ? 'detached' : sent.origin;
    if (isReleased || origin === 'log') inFlight.push(place);
    else if (sent.origin !== 'log' || qos === 2) inFlight.push([...place, origin, channel, timeMs]);
  }
  return encode({ progress, inFlight, lastPacketId: state.lastPacketId });
}

export function decodeWindow(row: Buffer): WindowRow {
  const { progress, inFlight, lastPacketId } = decode(row) as {
    readonly progress: [
      number,
      [string, string[], number] | null | undefined,
      [number, number] | null | undefined,
    ][];
    readonly inFlight: [number, 1 | 2, number, number, 0 | 1, Origin?, string?, number?][];
    readonly lastPacketId: number;
  };
  return {
    progress: new Map(
      progress.map(([no, known, retained]) => [
        no,
        {
          progress: known
            ? { cursor: known[0], ackedAhead: known[1], deliveredThroughSeq: known[2] }
            : undefined,
          retained: retained ? { afterSeq: retained[0], throughSeq: retained[1] } : undefined,
        },
      ]),
    ),
    inFlight: inFlight.map(
      ([packetId, qos, seq, no, isReleased, origin = 'log', channel = '', timeMs = 0]) => ({
        packetId,
        qos,
        seq,
        no,
        isReleased: isReleased === 1,
        origin,
        channel,
        timeMs,
      }),
    ),
    lastPacketId,
  };
}

/** Fills `state` with what the rows say. */
export function restore(
  state: SessionState,
  head: Head,
  window: WindowRow | undefined,
  received: readonly number[],
): void {
  const byNo = new Map<number, MqttSubscription>();
  for (const { no, filter, target, options } of head.subscriptions) {
    const subscription = new MqttSubscription(no, filter, { ...target, from: undefined }, options);
    const stored = window?.progress.get(no);
    const saved = stored?.progress;
    subscription.saved = saved && {
      ...saved,
      deliveredThroughSeq: Math.max(saved.deliveredThroughSeq, head.maybeSentThroughSeq),
    };
    subscription.retained = stored?.retained;
    byNo.set(no, subscription);
  }
  const sent = [];
  for (const { no, ...one } of window?.inFlight ?? []) {
    sent.push({ ...one, subscription: byNo.get(no) ?? goneSubscription() });
  }
  state.restore([...byNo.values()], sent, received, window?.lastPacketId ?? 0);
}

/** Of what is in flight although its subscription has ended. */
function goneSubscription(): MqttSubscription {
  return new MqttSubscription(
    0,
    '',
    { kind: 'log', filter: '', isShared: false, from: undefined },
    { qos: 2, noLocal: false, retainAsPublished: false, identifier: undefined, withCursor: false },
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

function encode(fields: object): Buffer {
  return Buffer.from(JSON.stringify({ format, ...fields }));
}

function decode(row: Buffer): unknown {
  const fields = JSON.parse(row.toString()) as { readonly format: number };
  if (fields.format !== format) {
    throw new Error(
      `A row of an MQTT session has the format ${fields.format}, which this version cannot read.`,
    );
  }
  return fields;
}
