import type { IncomingMessage, ServerResponse } from 'node:http';
import { targetPath } from './head-check.ts';
import { rawPath } from './percent.ts';

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export interface RawRoute {
  /** Gets the raw path, before any decoding. */
  readonly matches: (path: string, method: string) => boolean;
  /** From here on the transport owns the request, and answers errors too. */
  readonly handle: Handle;
  /** Largest body; the server refuses a longer one by its head. `undefined`: as for all other requests. */
  readonly bodyBytesMax: number | undefined;
}

/**
 * Paths whose requests a transport answers by itself, because its protocol defines all answers, also refusals. The
 * server checks the head, and refuses requests while it drains, before the transport sees them.
 */
export class RawRequests {
  readonly #routes: RawRoute[] = [];

  add(route: RawRoute): void {
    this.#routes.push(route);
  }

  /** The route of a request, if there is one. */
  find({ url = '/', method = '' }: Pick<IncomingMessage, 'url' | 'method'>): RawRoute | undefined {
    if (this.#routes.length === 0) return undefined;
    const path = rawPath(targetPath(url));
    return this.#routes.find(({ matches }) => matches(path, method));
  }
}
