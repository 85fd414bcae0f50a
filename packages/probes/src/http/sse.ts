import { asRecord, parseExactly } from '@everywire/protocol';
import { readText, send } from './request.ts';
import { encodeChannel } from '../target.ts';
import { splitLines } from './lines.ts';
import { toRefused } from './refusal.ts';
import { startQuery, type Arrival, type Reader } from '../reader.ts';

/** Heartbeats come every 15 s. */
const idleMs = 45_000;

/** Reads Server-Sent Events (HTML §9.2) whose data are envelopes. */
export const readBySse: Reader = async function* (target, start, signal) {
  const query = startQuery(start);
  query.set('format', 'envelope');
  const answer = await send(target, {
    path: `/channels/${encodeChannel(target.channel)}?${query.toString()}`,
    headers: { Accept: 'text/event-stream' },
    signal,
    idleMs,
  });
  yield { kind: 'open' };
  for await (const event of readEvents(readText(answer))) {
    const arrival = toArrival(event);
    if (arrival !== undefined) yield arrival;
  }
};

interface Event {
  readonly name: string;
  readonly id: string | undefined;
  /** Absent in an event that only tells the reader's place. */
  readonly data: string | undefined;
}

function toArrival({ name, id, data }: Event): Arrival | undefined {
  if (data === undefined) return id === undefined ? undefined : { kind: 'position', cursor: id };
  const value = asRecord(parseExactly(data));
  // A message may be labelled with any name, also with those of the server, so its number decides.
  if (id !== undefined && typeof value?.['offset'] === 'number') {
    return { kind: 'message', cursor: id, text: JSON.stringify(value) };
  }
  if (name === 'everywire.error') throw toRefused(value);
  return name === 'everywire.gap' ? { kind: 'gap', cursor: id, text: data } : undefined;
}

/** The interpretation of HTML §9.2.6, without reconnection, which is the caller's. */
async function* readEvents(chunks: AsyncIterable<string>): AsyncGenerator<Event, void, undefined> {
  let name = '';
  let id: string | undefined;
  let data: string[] = [];
  for await (const line of splitLines(chunks)) {
    if (line === '') {
      yield { name, id, data: data.length === 0 ? undefined : data.join('\n') };
      name = '';
      data = [];
      continue;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') name = value;
    else if (field === 'id') id = value;
  }
}
