import { parseExactly } from '@everywire/protocol';
import { ndjsonMediaTypes, NdjsonReader } from '@everywire/protocol/http';
import { encodeChannel } from '../target.ts';
import { startQuery, type HttpReader } from './exchange.ts';
import { readText } from './request.ts';
import { toArrival } from './stream-item.ts';

/** Heartbeats come every 15 s. */
const idleMs = 45_000;

/** Follows by newline-delimited JSON. */
export const readByStream: HttpReader = async function* (exchange, channel, start) {
  const answer = await exchange.send({
    path: `/channels/${encodeChannel(channel)}?${startQuery(start).toString()}`,
    headers: { Accept: ndjsonMediaTypes[0] },
    idleMs,
  });
  yield { kind: 'open' };
  const cursor = answer.headers['everywire-cursor'];
  if (typeof cursor === 'string') yield { kind: 'position', cursor };
  const reader = new NdjsonReader(parseExactly);
  for await (const chunk of readText(answer)) {
    for (const item of reader.push(chunk)) {
      const arrival = toArrival(item);
      if (arrival !== undefined) yield arrival;
    }
  }
};
