import { asRecord, parseExactly } from '@everywire/protocol';
import { readText, Refused, send } from './request.ts';
import { encodeChannel } from '../target.ts';
import { splitLines } from './lines.ts';
import { toRefused } from './refusal.ts';
import { startQuery, type Arrival, type Reader } from '../reader.ts';

/** Heartbeats come every 15 s. */
const idleMs = 45_000;

/** Reads newline-delimited JSON: an envelope a line, an empty line for a heartbeat. */
export const readByStream: Reader = async function* (target, start, signal) {
  const answer = await send(target, {
    path: `/channels/${encodeChannel(target.channel)}?${startQuery(start).toString()}`,
    headers: { Accept: 'application/x-ndjson' },
    signal,
    idleMs,
  });
  yield { kind: 'open' };
  const cursor = answer.headers['everywire-cursor'];
  if (typeof cursor === 'string') yield { kind: 'position', cursor };
  for await (const line of splitLines(readText(answer))) {
    const arrival = line.trim() === '' ? undefined : toArrival(line);
    if (arrival !== undefined) yield arrival;
  }
};

/** Lines that are not messages have one member that says what they are. */
function toArrival(line: string): Arrival | undefined {
  const value = asRecord(parseExactly(line));
  if (value === undefined) throw new Refused('a line is not a JSON object; is this an Everywire server?', {});
  const { cursor, gap, error } = value;
  if (typeof cursor === 'string') return { kind: 'message', cursor, text: JSON.stringify(value) };
  if (error !== undefined) throw toRefused(asRecord(error));
  if (gap === undefined) return undefined;
  const next = asRecord(gap)?.['cursor'];
  return { kind: 'gap', cursor: typeof next === 'string' ? next : undefined, text: JSON.stringify(gap) };
}
