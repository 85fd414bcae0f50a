import { Cut, Refused, Unreachable, Unsendable, type Wire } from '@everywire/probes';
import { CommandError } from './exit.ts';
import { say } from './output.ts';
import type { UrlTarget } from './target.ts';

/** The error for the user after a failed exchange; other errors are returned unchanged. */
export function toCommandError(error: unknown, target: UrlTarget): unknown {
  const { hasPort, link, port } = target;
  if (error instanceof Unreachable) {
    const hint =
      hasPort || link === 'tcp'
        ? ''
        : `; the URL names no port, so the client tried ${port}, but the default port of a server is 8080`;
    return new CommandError('unreachable', `${error.message}${hint}.`, error);
  }
  if (error instanceof Unsendable)
    return new CommandError('usage', `${error.isOption ? '--' : ''}${error.message}`, error);
  if (error instanceof Cut || (error instanceof Refused && error.isForeign))
    return new CommandError('failed', `${error.message}${portHint(target)}`, error);
  if (error instanceof Refused) return new CommandError('failed', error.message, error);
  return error;
}

const ownPorts: ReadonlyMap<Wire, readonly [name: string, defaultPort: number]> = new Map([
  ['mqtt', ['MQTT', 1883]],
  ['stomp', ['STOMP', 61_613]],
  ['grpc', ['gRPC', 50_051]],
]);

/** A port of another protocol answers in that protocol, or closes the connection. */
export function portHint({ link, wire, host, port }: UrlTarget): string {
  const [name, defaultPort] = (link === 'tcp' ? ownPorts.get(wire) : undefined) ?? ['HTTP', 8080];
  return `; is ${host}:${port} the port of ${name} (${defaultPort} by default)?`;
}

/** A URL that was copied from `curl` names another channel than the user means. */
export function noteResourcePath({ channel }: UrlTarget): void {
  if (!channel.startsWith('channels/')) return;
  say(`note: the path is the channel, so this is ${channel}; for ${channel.slice(9)}, leave /channels out.`);
}
