import { CommandError } from './exit.ts';
import { Cut, Refused, Unreachable } from './request.ts';
import type { Target } from './target.ts';

/** What a failed exchange means to whoever typed the command; anything else is passed on as it is. */
export function toCommandError(error: unknown, { hasPort, port }: Target): unknown {
  if (error instanceof Unreachable) {
    const hint = hasPort
      ? ''
      : `; the URL names no port, so ${port} was tried, and a server listens on 8080 unless it was told otherwise`;
    return new CommandError('unreachable', `${error.message}${hint}.`, error);
  }
  if (error instanceof Refused || error instanceof Cut)
    return new CommandError('failed', error.message, error);
  return error;
}
