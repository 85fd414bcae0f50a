import { EverywireError, levelOfSubject } from '@everywire/protocol';
import type { Spelling } from './format.ts';

/** The meaning of a destination. */
export interface Destination {
  /** The channel, or for SUBSCRIBE the filter. */
  readonly name: string;
  readonly spelling: Spelling;
  /** Each message goes to one of the consumers. */
  readonly isQueue: boolean;
}

/** The group of a queue: its consumers are members of one group, like members on other transports. */
export const queueGroup = 'queue';

/** First levels that other brokers use for another purpose than a name. */
const unsupported: ReadonlyMap<string, string> = new Map([
  ['/exchange/', 'Exchanges are AMQP’s'],
  ['/amq/', 'Names of AMQP’s queues are AMQP’s'],
  ['/temp-queue/', 'Temporary queues are not kept here'],
  ['/temp-topic/', 'Temporary topics are not kept here'],
  ['/reply-queue/', 'Reply queues are not kept here'],
]);
const supported = '/topic/…, /queue/…, /channels/…, /user/… and any other channel';

/**
 * A destination without its leading `/` is the channel: `/topic/greetings` → `topic/greetings`; `/channels/x` is `x`;
 * `/user/…` is `user/<subject>/…`; a destination without a leading `/` is the name of the channel itself.
 * @throws EverywireError `unsupported`, or `unauthorized` for `/user/` without a subject
 */
export function parseDestination(text: string, subject: string | undefined): Destination {
  for (const [prefix, why] of unsupported) {
    if (text.startsWith(prefix)) {
      throw new EverywireError('unsupported', `${why}; destinations here are ${supported}.`);
    }
  }
  if (text.startsWith('/channels/')) return { ...spelled(text, '/channels/', ''), isQueue: false };
  if (text.startsWith('/user/')) {
    return { ...spelled(text, '/user/', `user/${levelOf(subject)}/`), isQueue: false };
  }
  if (text.startsWith('/')) return { ...spelled(text, '/', ''), isQueue: text.startsWith('/queue/') };
  return { ...spelled(text, '', ''), isQueue: false };
}

function spelled(text: string, put: string, strip: string): { name: string; spelling: Spelling } {
  return { name: strip + text.slice(put.length), spelling: { put, strip } };
}

/** As it is, a subject with several levels or wildcards could reach the channels of other subjects (T15). */
function levelOf(subject: string | undefined): string {
  if (subject === undefined) {
    throw new EverywireError('unauthorized', '/user/… needs a subject: give login, or a token.');
  }
  if (subject === '' || !subject.isWellFormed())
    throw new EverywireError('unauthorized', '/user/… needs a subject that is not empty.');
  return levelOfSubject(subject);
}

/** The filter that reads a queue as one group. */
export function queueFilter(name: string): string {
  if (/[+#*]/.test(name)) {
    throw new EverywireError(
      'unsupported',
      'A queue destination must not be a pattern. Use $share/<group>/<filter>.',
    );
  }
  return `$share/${queueGroup}/${name}`;
}

/** The group behind a durable subscription of clients without a `client-id`: one per name. */
export function sharedDurable(name: string, filter: string): string {
  return `$share/durable-${encodeURIComponent(name).replaceAll('*', '%2A')}/${filter}`;
}
