import { payloadMember, writeEnvelope } from '@everywire/protocol';
import { isReserved, type Frame } from '@everywire/wires/stomp';
import { Refused } from '../http/request.ts';
import { openStomp } from './client.ts';
import type { Arrival, Reader, Start } from '../reader.ts';

const subscription = '0';
const receipt = 'subscribed';
/** What is put before a channel to make a destination of it that means nothing else. */
const prefix = '/channels/';

/** The destination that is this channel or filter, whatever it begins with. */
export function destinationOf(channel: string): string {
  return prefix + channel;
}

/** Follows by STOMP 1.2, over TCP or WebSocket. */
export const readByStomp: Reader = async function* (target, start, signal) {
  const client = await openStomp(target, signal);
  try {
    client.send('SUBSCRIBE', [
      ['id', subscription],
      ['destination', destinationOf(target.channel)],
      ['ack', 'auto'],
      ['receipt', receipt],
      ...startHeaders(start),
    ]);
    for (;;) yield* toArrivals(await client.next());
  } finally {
    client.close();
  }
};

function startHeaders({ after, since }: Start): readonly (readonly [string, string])[] {
  if (after !== undefined) return [['after', after]];
  return since === undefined ? [] : [['since', since]];
}

function* toArrivals(frame: Frame): Generator<Arrival, void, undefined> {
  const { command, headers } = frame;
  if (command === 'RECEIPT' && headers.get('receipt-id') === receipt) {
    yield { kind: 'open' };
    const cursor = headers.get('cursor');
    if (cursor !== undefined) yield { kind: 'position', cursor };
  }
  if (command === 'MESSAGE') {
    // A gap before the subscription's first message is told with the message, and came before it.
    for (const gap of gapsOf(frame)) yield gap;
    yield toMessage(frame);
  }
}

function gapsOf({ headers }: Frame): readonly Arrival[] {
  const told = headers.get('everywire-gap');
  if (told === undefined) return [];
  const gaps = JSON.parse(told) as readonly { readonly cursor?: string }[];
  return gaps.map((gap) => ({ kind: 'gap', cursor: gap.cursor, text: JSON.stringify(gap) }));
}

function toMessage({ headers, body }: Frame): Arrival {
  const destination = headers.get('destination');
  const cursor = headers.get('message-id');
  const offset = headers.get('offset');
  if (destination === undefined || cursor === undefined || offset === undefined) {
    throw new Refused('a MESSAGE lacks what Everywire says; is this an Everywire server?', {});
  }
  const type = headers.get('content-type') ?? 'application/octet-stream';
  const fields = {
    channel: destination.slice(prefix.length),
    offset: Number(offset),
    cursor,
    id: headers.get('everywire-id') ?? '',
    timeMs: Number(headers.get('timestamp')),
    type,
    event: headers.get('event'),
    from: headers.get('everywire-from'),
    headers: new Map([...headers].filter(([name]) => !isReserved(name))),
  };
  return { kind: 'message', cursor, text: writeEnvelope(fields, payloadMember(type, body)) };
}
