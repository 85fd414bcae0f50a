import { connectNodeAdapter } from '@connectrpc/connect-node';
import { EverywireError } from '@everywire/protocol';
import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Identity } from '../../core/sessions/access.ts';
import type { Peer } from '../../http/peer.ts';
import { refusalOf } from '../parts/refusal.ts';
import type { GrpcHost } from './limits.ts';
import { addServices, contextOf, type Admitted, type ServiceOptions } from './service.ts';

/** The longest time that a timer can wait. */
const timeoutMsMax = 2 ** 31 - 1;

/** The caller of a method that needs no token, such as the health check. */
export const unknownCaller: Admitted = {
  refusal: new EverywireError('unauthorized', 'The caller is not authenticated.'),
};

type Adapter = ReturnType<typeof connectNodeAdapter>;

/** The calls that the library answers: Connect, gRPC-Web, gRPC in JSON, health and reflection. */
export class LibraryCalls {
  /** Largest request message. */
  readonly messageBytesMax: number;
  readonly #host: GrpcHost;
  readonly #adapter: Adapter;
  readonly #paths = new Set<string>();
  /** The authenticated caller of each request: the library does not pass it to the handlers. */
  readonly #admitted = new WeakMap<object, Admitted>();

  constructor(host: GrpcHost, options: ServiceOptions) {
    this.#host = host;
    // Connect also uses JSON, in which a payload is base64.
    this.messageBytesMax = messageBytesMax(host.limits, 'base64');
    this.#adapter = connectNodeAdapter({
      routes: (router) => {
        addServices(router, host, options);
        for (const { requestPath } of router.handlers) this.#paths.add(requestPath);
      },
      readMaxBytes: this.messageBytesMax,
      maxTimeoutMs: timeoutMsMax,
      // Off, as on every wire: an attacker's bytes must not expand a hundred times in memory.
      acceptCompression: [],
      contextValues: (request) => contextOf(this.#admitted.get(request) ?? unknownCaller),
    });
  }

  /** Whether there is such a method. */
  serves(path: string): boolean {
    return this.#paths.has(path);
  }

  /** Never rejects. */
  async admit(peer: Peer, authenticate: () => Promise<Identity>): Promise<Admitted> {
    try {
      return { party: { identity: await authenticate(), ...peer } };
    } catch (caught) {
      return { refusal: refusalOf(caught, this.#host.log, 'a caller of gRPC could not be judged') };
    }
  }

  answer(admitted: Admitted, ...[request, response]: Parameters<Adapter>): void {
    this.#admitted.set(request, admitted);
    this.#adapter(request, response);
  }
}
