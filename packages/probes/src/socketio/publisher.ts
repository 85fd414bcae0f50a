import { isUtf8 } from 'node:buffer';
import { shapeOfType, parseExactly } from '@everywire/protocol';
import { CommandError } from '../../../server/src/cli/exit.ts';
import { binary, openSocketIo } from './client.ts';
import { answerWithinMs, receiptLine, type Publication, type Publisher } from '../publisher.ts';

/** By the event `publish`, whose acknowledgement comes once the message is stored. */
export const publishBySocketIo: Publisher = async (target, publication) => {
  const { type, headers, event, key, retain, ttl } = publication;
  const { data, attachment } = dataOf(publication);
  const client = await openSocketIo(target, AbortSignal.timeout(answerWithinMs));
  try {
    const options = {
      type,
      event,
      key,
      ...(retain ? { retain } : {}),
      ttl,
      ...(headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }),
    };
    return receiptLine(
      target.channel,
      await client.ask('publish', [target.channel, data, options], attachment),
    );
  } finally {
    client.close();
  }
};

/** JSON as it is, text as a string, and all else as an attachment. */
function dataOf({ payload, type }: Publication): { readonly data: unknown; readonly attachment?: Buffer } {
  const shape = isUtf8(payload) ? shapeOfType(type) : 'binary';
  if (shape === 'binary') return { data: binary, attachment: payload };
  if (shape === 'text') return { data: payload.toString() };
  try {
    return { data: parseExactly(payload.toString()) };
  } catch (cause) {
    throw new CommandError('usage', 'The data is not JSON, although its type says so.', cause);
  }
}
