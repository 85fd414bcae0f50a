import { EverywireError } from '@everywire/protocol';

/** Refuses a token. The client sees `detail`: it has no byte of the token. */
export function refuse(detail: string): never {
  throw new EverywireError('unauthorized', detail);
}
