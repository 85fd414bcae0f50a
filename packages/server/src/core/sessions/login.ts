import { EverywireError } from '@everywire/protocol';
import type { Identity } from './access.ts';

/**
 * MQTT and STOMP have a name beside the token. It says nothing that the token does not say, so it may be left out, and may
 * not contradict it: an operator who reads a name in a client's settings can believe it. Without tokens it is not looked at.
 * @throws EverywireError `unauthorized`
 */
export function checkLogin({ subject, claims }: Identity, name: string | undefined): void {
  if (claims === undefined || name === undefined || name === '' || name === subject) return;
  throw new EverywireError('unauthorized', 'The user name must be the subject of the token, or absent.');
}
