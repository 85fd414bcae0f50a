import { openSocket } from './client.ts';
import { Refused } from '../http/request.ts';
import type { Arrival, Reader } from '../reader.ts';

/** Follows by `/ws` and the subprotocol `everywire.v1`, whose answers tell the cursor where a subscription begins. */
export const readByWebSocket: Reader = async function* (target, start, signal) {
  const socket = await openSocket(target, signal);
  try {
    const { after, since } = start;
    const answer = await socket.ask({ op: 'subscribe', channel: target.channel, after, since });
    yield { kind: 'open' };
    if (typeof answer['cursor'] === 'string') yield { kind: 'position', cursor: answer['cursor'] };
    // The first gap is in the answer, later ones are frames of their own.
    const gap = toGap(answer['gap']);
    if (gap !== undefined) yield gap;
    for await (const frame of socket.frames()) {
      const arrival = toArrival(frame);
      if (arrival !== undefined) yield arrival;
    }
  } finally {
    socket.close();
  }
};

function toArrival(frame: Readonly<Record<string, unknown>>): Arrival | undefined {
  const { op, ...rest } = frame;
  const cursor = typeof rest['cursor'] === 'string' ? rest['cursor'] : undefined;
  if (op === 'message') {
    if (cursor === undefined) throw new Refused('a message came without its cursor', {});
    return { kind: 'message', cursor, text: JSON.stringify(rest) };
  }
  return op === 'gap' ? toGap(rest) : undefined;
}

function toGap(notice: unknown): Arrival | undefined {
  if (typeof notice !== 'object' || notice === null) return undefined;
  const cursor = 'cursor' in notice && typeof notice.cursor === 'string' ? notice.cursor : undefined;
  return { kind: 'gap', cursor, text: JSON.stringify(notice) };
}
