import type { IncomingMessage, ServerResponse } from 'node:http';
import { targetPath } from './head-check.ts';
import { rawPath } from './percent.ts';

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export interface RawRoute {
  /** Is given the raw path, before any decoding. */
  readonly matches: (path: string) => boolean;
  /** From here on the request is the transport's, errors included. */
  readonly handle: Handle;
  /** Largest body; a longer one is refused by its head already. */
  readonly bodyBytesMax: number;
}

/**
 * Paths whose requests a transport answers by itself, because its protocol says what every answer looks like, refusals
 * included. Heads are checked, and draining is refused, before it sees them.
 */
export class RawRequests {
  readonly #routes: RawRoute[] = [];

  add(route: RawRoute): void {
    this.#routes.push(route);
  }

  /** The route of a request target, if there is one. */
  find(url: string): RawRoute | undefined {
    if (this.#routes.length === 0) return undefined;
    const path = rawPath(targetPath(url));
    return this.#routes.find(({ matches }) => matches(path));
  }
}
