import { toEverywireError, type EverywireError } from '@everywire/protocol';
import type { Log } from '../../core/seams/log.ts';

/**
 * The error for the client when `caught` was thrown. Logs a fault of the server with `text`; the client gets only
 * `internal`.
 */
export function refusalOf(caught: unknown, log: Log, text: string): EverywireError {
  const error = toEverywireError(caught);
  if (error.code === 'internal') log.error({ err: caught }, text);
  return error;
}
