import type { Counted } from '../core/publish/throttle.ts';

const counted = Symbol('rates of the connection');

interface Counting {
  [counted]?: Counted | undefined;
}

/** What the rates of all that comes over a connection are counted by. */
export function countedOf(socket: object): Counted {
  return ((socket as Counting)[counted] ??= {});
}

/** For what stands in for the socket of `connection`, such as a stream of HTTP/2. */
export function shareCounted(socket: object, connection: object): void {
  (socket as Counting)[counted] = countedOf(connection);
}
