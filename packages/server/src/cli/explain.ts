import { Cut, Refused, Unreachable, Unsendable } from '@everywire/probes';
import { CommandError } from './exit.ts';
import { say } from './output.ts';
import type { UrlTarget } from './target.ts';

/** What a failed exchange means to the user of the command; any other error is returned as it is. */
export function toCommandError(error: unknown, { hasPort, link, port }: UrlTarget): unknown {
  if (error instanceof Unreachable) {
    const hint =
      hasPort || link === 'tcp'
        ? ''
        : `; the URL names no port, so the client tried ${port}, but the default port of a server is 8080`;
    return new CommandError('unreachable', `${error.message}${hint}.`, error);
  }
  if (error instanceof Unsendable)
    return new CommandError('usage', `${error.isOption ? '--' : ''}${error.message}`, error);
  if (error instanceof Refused || error instanceof Cut)
    return new CommandError('failed', error.message, error);
  return error;
}

/** A URL that was copied from `curl` names another channel than the user means. */
export function noteResourcePath({ channel }: UrlTarget): void {
  if (!channel.startsWith('channels/')) return;
  say(`note: the path is the channel, so this is ${channel}; for ${channel.slice(9)}, leave /channels out.`);
}
