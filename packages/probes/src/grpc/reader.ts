import { timestampMs } from '@bufbuild/protobuf/wkt';
import { payloadMember, writeEnvelope } from '@everywire/protocol';
import type {
  Gap,
  Message,
  SubscribeResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { explainGrpc, openGrpc } from './client.ts';
import { Cut, Refused } from '../http/request.ts';
import type { Arrival, Reader } from '../reader.ts';

/** By `Subscribe`. */
export const readByGrpc: Reader = async function* (target, { after = '', since = '' }, signal) {
  const { client, close } = openGrpc(target);
  try {
    const responses = client.subscribe({ channels: [target.channel], after, since }, { signal });
    for await (const response of responses) yield* toArrivals(response);
    close();
  } catch (caught) {
    const error = caught instanceof Cut ? caught : explainGrpc(caught, target);
    // A connection that broke has ended by itself, and must not be touched while it does.
    if (signal.aborted || error instanceof Refused) close();
    signal.throwIfAborted();
    throw error;
  }
};

function* toArrivals({ kind }: SubscribeResponse): Generator<Arrival, void, undefined> {
  switch (kind.case) {
    case 'subscribed':
      yield { kind: 'open' };
      // What is missing behind this place is told next, with the place after it.
      if (kind.value.exact) yield { kind: 'position', cursor: kind.value.cursor };
      break;
    case 'message':
      yield { kind: 'message', cursor: kind.value.cursor, text: lineOf(kind.value) };
      break;
    case 'gap':
      yield { kind: 'gap', cursor: kind.value.cursor, text: gapLine(kind.value) };
      break;
    case 'goaway':
      throw new Cut('the server is stopping');
    case undefined:
      // Something newer than this client.
      break;
  }
}

function lineOf(message: Message): string {
  const { channel, offset, cursor, id, time, type, data, event, from, headers } = message;
  const fields = {
    channel,
    offset: Number(offset),
    cursor,
    id,
    timeMs: time === undefined ? 0 : timestampMs(time),
    type,
    event: event === '' ? undefined : event,
    from: from === '' ? undefined : from,
    headers: new Map(Object.entries(headers)),
  };
  return writeEnvelope(fields, payloadMember(type, data));
}

function gapLine({ channel, from, to, reason, cursor }: Gap): string {
  const range = to === 0n ? {} : { from: Number(from), to: Number(to) };
  return JSON.stringify({ channel, ...range, reason, cursor });
}
