import { EverywireError, parseFrom, type From } from '@everywire/protocol';
import type { UserProperties } from '@everywire/wires/mqtt';

/** The request of a SUBSCRIBE filter, in the hub's terms. */
export interface Target {
  /** `log`: channels, by the hub. `sys`: the broker's own figures. `notices`: gap notices of the broker. */
  readonly kind: 'log' | 'sys' | 'notices';
  /** The filter for the hub or for `matches`, without `$since/<start>/`. */
  readonly filter: string;
  readonly isShared: boolean;
  /** The start of a replay; absent: from now on. */
  readonly from: From | undefined;
}

/** The topic of gap notices for MQTT 3.1 and 3.1.1, which have no properties. */
export const gapTopic = '$everywire/gap';

/**
 * Where Mosquitto's bridges say that they are connected, on both brokers, with a will for the end of it. These messages are
 * acknowledged and reach no reader: only the server publishes below `$SYS`.
 */
export function isBridgeState(topic: string): boolean {
  return topic.startsWith('$SYS/broker/connection/') && topic.endsWith('/state');
}

const sincePrefix = '$since/';
const sharePrefix = '$share/';

/**
 * Reads the special forms of MQTT and of this broker: `$since/<cursor|earliest|last-n|-5m>/<filter>`, `$SYS/…`,
 * `$share/<group>/<filter>`, and the user properties `after` and `since`, which win.
 * @throws EverywireError `invalid`, `bad_name`
 */
export function readTarget(text: string, properties: UserProperties | undefined, nowMs: number): Target {
  const asked = parseFrom(
    { after: propertyOf(properties, 'after'), since: propertyOf(properties, 'since') },
    nowMs,
  );
  if (text.startsWith(sincePrefix)) {
    const end = text.indexOf('/', sincePrefix.length);
    if (end < 0)
      throw new EverywireError('bad_name', 'A replay topic must have the form $since/<start>/<filter>.');
    const from = asked ?? readStart(text.slice(sincePrefix.length, end), nowMs);
    return { kind: 'log', filter: text.slice(end + 1), isShared: false, from };
  }
  if (text === gapTopic) return { kind: 'notices', filter: text, isShared: false, from: undefined };
  if (text === '$SYS' || text.startsWith('$SYS/')) {
    return { kind: 'sys', filter: text, isShared: false, from: undefined };
  }
  return { kind: 'log', filter: text, isShared: text.startsWith(sharePrefix), from: asked };
}

/** A cursor begins with the digit of its format. No described start does, except a time, which has a colon. */
function readStart(text: string, nowMs: number): From {
  const isCursor = /^\d/.test(text) && !text.includes(':');
  return parseFrom(isCursor ? { after: text } : { since: text }, nowMs)!;
}

/** The last one wins, as in a list of settings. */
export function propertyOf(properties: UserProperties | undefined, name: string): string | undefined {
  return properties?.findLast(([known]) => known === name)?.[1];
}
