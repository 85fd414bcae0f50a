import { toEverywireError, type EverywireError } from '@everywire/protocol';
import type { Log } from '../../core/seams/log.ts';

/**
 * What a client is answered when `caught` was thrown. A fault of the server is logged with `text`: the client learns only
 * that there is one.
 */
export function refusalOf(caught: unknown, log: Log, text: string): EverywireError {
  const error = toEverywireError(caught);
  if (error.code === 'internal') log.error({ err: caught }, text);
  return error;
}
