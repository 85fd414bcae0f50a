import { CommandError } from './exit.ts';
import { say } from './output.ts';
import { Cut, Refused, Unreachable } from '../../../probes/src/http/request.ts';
import type { Target } from '../../../probes/src/target.ts';

/** What a failed exchange means to whoever typed the command; anything else is passed on as it is. */
export function toCommandError(error: unknown, { hasPort, link, port }: Target): unknown {
  if (error instanceof Unreachable) {
    const hint =
      hasPort || link === 'tcp'
        ? ''
        : `; the URL names no port, so ${port} was tried, and a server listens on 8080 unless it was told otherwise`;
    return new CommandError('unreachable', `${error.message}${hint}.`, error);
  }
  if (error instanceof Refused || error instanceof Cut)
    return new CommandError('failed', error.message, error);
  return error;
}

/** Who pastes the URL that `curl` takes means another channel than the one that these commands would use. */
export function noteResourcePath({ channel }: Target): void {
  if (!channel.startsWith('channels/')) return;
  say(`note: the path is the channel, so this is ${channel}; for ${channel.slice(9)}, leave /channels out.`);
}
