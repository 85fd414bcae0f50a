import type { Counted } from '../core/publish/throttle.ts';

const counted = Symbol('rates of the connection');

interface Counting {
  [counted]?: Counted | undefined;
}

/** The key of the rates of a connection. */
export function countedOf(socket: object): Counted {
  return ((socket as Counting)[counted] ??= {});
}

/** For an object in place of the socket of `connection`, such as a stream of HTTP/2. */
export function shareCounted(socket: object, connection: object): void {
  (socket as Counting)[counted] = countedOf(connection);
}
