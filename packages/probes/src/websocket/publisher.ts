import { openSocket } from './client.ts';
import { answerWithinMs, receiptLine, type Publisher } from '../publisher.ts';

/** By `/ws` and the subprotocol `everywire.v1`. */
export const publishByWebSocket: Publisher = async (target, publication) => {
  const { payload, type, headers, event, key, retain, ttl } = publication;
  const socket = await openSocket(target, AbortSignal.timeout(answerWithinMs));
  try {
    const { message: id, ...told } = await socket.ask({
      op: 'publish',
      channel: target.channel,
      base64: payload.toString('base64'),
      type,
      event,
      key,
      ...(retain ? { retain } : {}),
      ttl,
      ...(headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }),
    });
    return receiptLine(target.channel, { ...told, id });
  } finally {
    socket.close();
  }
};
