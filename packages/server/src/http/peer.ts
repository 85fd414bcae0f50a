import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Hello } from '../core/seams/session-api.ts';
import { countedOf } from '../net/counted.ts';
import type { IsProxy } from '../net/trusted-proxies.ts';

/** The other end of a request, for logs and rates. */
export type Peer = Pick<Hello, 'address' | 'counted'>;

const behindProxy = Symbol('the peer of a request that a proxy has passed on');

interface PassedOn {
  [behindProxy]?: Peer;
}

export function peerOf(request: IncomingMessage): Peer {
  const { socket } = request;
  return (request as PassedOn)[behindProxy] ?? { address: socket.remoteAddress, counted: countedOf(socket) };
}

/**
 * Finds the client behind a proxy of the operator. Another peer's `X-Forwarded-For` can say anything (T11). Many peers
 * share the connections of a proxy, so their rates are not counted by connection.
 */
export function lookBehindProxy(request: IncomingMessage, isProxy: IsProxy): void {
  const { remoteAddress } = request.socket;
  if (!isProxy(remoteAddress)) return;
  const address = lastUntrusted(request.headers['x-forwarded-for'], isProxy) ?? remoteAddress;
  (request as PassedOn)[behindProxy] = { address };
}

/** Each proxy appends its client's address: a client can forge every entry before the last one that is not a proxy. */
function lastUntrusted(field: string | string[] | undefined, isProxy: IsProxy): string | undefined {
  const entries = String(field ?? '').split(',');
  let nearest: string | undefined;
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const address = addressIn(entries[at]!.trim());
    if (address === undefined) return nearest;
    if (!isProxy(address)) return address;
    nearest = address;
  }
  return nearest;
}

/** Some proxies add the port, and brackets for IPv6 with it. */
function addressIn(entry: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(entry) ?? [];
  const address = bracketed ?? plain ?? entry;
  return isIP(address) === 0 ? undefined : address;
}
