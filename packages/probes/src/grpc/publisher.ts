import { durationFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { parseDurationMs } from '@everywire/protocol';
import { CommandError } from '../../../server/src/cli/exit.ts';
import { explainGrpc, openGrpc } from './client.ts';
import { Refused } from '../http/request.ts';
import { answerWithinMs, receiptLine, type Publisher } from '../publisher.ts';

/** By `Publish`. */
export const publishByGrpc: Publisher = async (
  target,
  { payload, type, headers, event, key, retain, ttl },
) => {
  const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl);
  if (ttl !== undefined && ttlMs === undefined) {
    throw new CommandError('usage', `--ttl is a length of time such as 60s or 5m, not ${ttl}.`);
  }
  const { client, close } = openGrpc(target);
  try {
    const published = await client.publish(
      {
        channel: target.channel,
        data: payload,
        type,
        headers: Object.fromEntries(headers),
        event: event ?? '',
        key: key ?? '',
        retain,
        ...(ttlMs === undefined ? {} : { ttl: durationFromMs(ttlMs) }),
      },
      { timeoutMs: answerWithinMs },
    );
    close();
    const { channel, offset, cursor, id, time, duplicate } = published;
    return receiptLine(channel, {
      offset: Number(offset),
      cursor,
      id,
      time: time === undefined ? undefined : new Date(timestampMs(time)).toISOString(),
      duplicate: duplicate ? true : undefined,
    });
  } catch (caught) {
    const error = explainGrpc(caught, target);
    // A connection that broke has ended by itself, and must not be touched while it does.
    if (error instanceof Refused) close();
    throw error;
  }
};
