import { placeholderOf } from '@everywire/wires/socketio';
import { asRecord } from '@everywire/protocol';
import { openSocketIo, type IoEvent } from './client.ts';
import type { Arrival, Reader } from '../reader.ts';

/** Follows by Socket.IO over WebSocket, in the namespace `/`. */
export const readBySocketIo: Reader = async function* (target, start, signal) {
  const client = await openSocketIo(target, signal);
  try {
    const { after, since } = start;
    const answer = await client.ask('subscribe', [target.channel, { after, since }]);
    yield { kind: 'open' };
    const { cursor, gap } = answer;
    if (gap !== undefined) {
      const next = asRecord(gap)?.['cursor'];
      yield {
        kind: 'gap',
        cursor: typeof next === 'string' ? next : undefined,
        text: JSON.stringify(gap),
      };
    } else if (typeof cursor === 'string') {
      yield { kind: 'position', cursor };
    }
    for await (const event of client.events) {
      const arrival = toArrival(event);
      if (arrival !== undefined) yield arrival;
    }
  } finally {
    client.close();
  }
};

/** The last argument of what has a place in the log is its cursor. */
function toArrival({ name, items, attachments }: IoEvent): Arrival | undefined {
  const last: unknown = JSON.parse(items.at(-1) ?? 'null');
  if (typeof last !== 'string') return undefined;
  const [first = 'null', meta] = items;
  if (items.length === 2) {
    return name === 'everywire.gap' ? { kind: 'gap', cursor: last, text: first } : undefined;
  }
  if (items.length !== 3 || !meta!.startsWith('{')) return undefined;
  // What is JSON is passed on as it came: parsing it would change numbers that are other people's.
  const num = attachments.length === 0 ? undefined : placeholderOf(JSON.parse(first));
  const member =
    typeof num === 'number' ? `"base64":"${attachments[num]!.toString('base64')}"` : `"data":${first}`;
  return { kind: 'message', cursor: last, text: `${meta!.slice(0, -1)},${member}}` };
}
