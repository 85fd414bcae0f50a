import { parseExactly } from '@everywire/protocol';
import { sseItem, sseMediaType, SseReader } from '@everywire/protocol/http';
import { encodeChannel } from '../target.ts';
import { startQuery, type HttpReader } from './exchange.ts';
import { readText } from './request.ts';
import { toArrival } from './stream-item.ts';

/** Heartbeats come every 15 s. */
const idleMs = 45_000;

/** Follows by Server-Sent Events whose data are envelopes. */
export const readBySse: HttpReader = async function* (exchange, channel, start) {
  const query = startQuery(start);
  query.set('format', 'envelope');
  const answer = await exchange.send({
    path: `/channels/${encodeChannel(channel)}?${query.toString()}`,
    headers: { Accept: sseMediaType },
    idleMs,
  });
  yield { kind: 'open' };
  const reader = new SseReader();
  for await (const chunk of readText(answer)) {
    for (const event of reader.push(chunk)) {
      const item = sseItem(event, parseExactly);
      const arrival = item && toArrival(item);
      if (arrival !== undefined) yield arrival;
    }
  }
};
