import { EverywireError } from '@everywire/protocol';
import type { Identity } from './access.ts';

/**
 * MQTT and STOMP have a name beside the token. It may be absent, and must not contradict the token, so an operator can
 * trust the name in a client's settings. Without authentication it is not checked.
 * @throws EverywireError `unauthorized`
 */
export function checkLogin({ subject, claims }: Identity, name: string | undefined): void {
  if (claims === undefined || name === undefined || name === '' || name === subject) return;
  throw new EverywireError('unauthorized', 'The user name must be the subject of the token, or absent.');
}
