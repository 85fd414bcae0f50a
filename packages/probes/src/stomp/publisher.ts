import { destinationOf } from './reader.ts';
import { openStomp } from './client.ts';
import { answerWithinMs, receiptLine, type Publisher } from '../publisher.ts';

const receipt = 'published';

/** By SEND; the RECEIPT comes once the message is stored. */
export const publishByStomp: Publisher = async (target, publication) => {
  const { payload, type, headers, event, key, retain, ttl } = publication;
  const client = await openStomp(target, AbortSignal.timeout(answerWithinMs));
  try {
    client.send(
      'SEND',
      [
        ['destination', destinationOf(target.channel)],
        ['content-type', type],
        ['content-length', String(payload.length)],
        ['receipt', receipt],
        ...(event === undefined ? [] : [['event', event] as const]),
        ...(key === undefined ? [] : [['key', key] as const]),
        ...(retain ? [['retain', 'true'] as const] : []),
        ...(ttl === undefined ? [] : [['ttl', ttl] as const]),
        ...headers,
      ],
      payload,
    );
    for (;;) {
      const { command, headers: told } = await client.next();
      if (command !== 'RECEIPT' || told.get('receipt-id') !== receipt) continue;
      const offset = told.get('offset');
      return receiptLine(target.channel, {
        offset: offset === undefined ? undefined : Number(offset),
        cursor: told.get('cursor'),
        id: told.get('everywire-id'),
        duplicate: told.get('duplicate') === 'true' ? true : undefined,
      });
    }
  } finally {
    client.close();
  }
};
