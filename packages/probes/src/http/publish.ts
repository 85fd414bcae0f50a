import { readWhole, send } from './request.ts';
import { encodeChannel } from '../target.ts';
import { answerWithinMs, type Publisher } from '../publisher.ts';

/** By `POST`, for all wires whose upward half it is. */
export const publishByPost: Publisher = async (target, publication) => {
  const { payload, type, headers, event, key, retain, ttl } = publication;
  const answer = await send(target, {
    method: 'POST',
    path: `/channels/${encodeChannel(target.channel)}`,
    headers: {
      'Content-Type': type,
      ...(event === undefined ? {} : { 'Everywire-Event': event }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
      ...(retain ? { 'Everywire-Retain': 'true' } : {}),
      ...(ttl === undefined ? {} : { 'Everywire-TTL': ttl }),
      ...Object.fromEntries([...headers].map(([name, value]) => [`Everywire-Meta-${name}`, value])),
    },
    body: payload,
    idleMs: answerWithinMs,
  });
  return readWhole(answer);
};
