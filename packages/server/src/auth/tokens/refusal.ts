import { EverywireError } from '@everywire/protocol';

/** Refuses a token. `detail` is shown to whoever brought it: it has no byte of the token. */
export function refuse(detail: string): never {
  throw new EverywireError('unauthorized', detail);
}
