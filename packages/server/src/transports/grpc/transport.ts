import type { Origins } from '../../http/origin.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import { spreadMs } from '../../core/spread.ts';
import { GrpcPort, type GrpcPortOptions } from './grpc-port.ts';
import { LibraryCalls } from './library.ts';
import type { GrpcHost } from './limits.ts';
import type { StreamCall } from './stream-call.ts';
import type { SubscribeCall } from './subscribe-call.ts';
import { WebPort, webPrefix, type WebFront } from './web-port.ts';

export interface GrpcFront extends WebFront {
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface GrpcTransportOptions extends GrpcPortOptions {
  readonly allowedOrigins?: Origins | undefined;
}

const name = 'grpc';

/** gRPC on a separate port; gRPC-Web and Connect on the HTTP port, all from one service. */
export function createGrpcTransport(front: GrpcFront, options: GrpcTransportOptions): Transport {
  return new GrpcTransport(front, options);
}

class GrpcTransport implements Transport {
  readonly name = name;
  readonly #front: GrpcFront;
  readonly #options: GrpcTransportOptions;
  readonly #stopping = new AbortController();
  /** Streaming calls that the library carries. */
  readonly #libraryCalls = new Set<StreamCall | SubscribeCall>();
  #host!: GrpcHost;
  #port!: GrpcPort;

  constructor(front: GrpcFront, options: GrpcTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const web = `${this.#front.url}${webPrefix}Publish`;
    const rows: Endpoint[] = [
      {
        transport: name,
        url: `${this.#front.url} (Connect, gRPC-Web)`,
        tryIt: `curl -H 'Content-Type: application/json' -d '{"channel":"demo","data":"aGVsbG8="}' ${web}`,
      },
    ];
    const { address } = this.#port;
    const scheme = this.#options.tls === undefined ? 'grpc' : 'grpcs';
    if (address !== undefined) {
      rows.unshift({
        transport: name,
        url: `${scheme}://${address}`,
        tryIt: `npx everywire subscribe ${scheme}://${address}/demo`,
      });
    }
    return rows;
  }

  async start(host: GrpcHost): Promise<void> {
    this.#host = host;
    const { signal } = this.#stopping;
    const library = new LibraryCalls(host, { calls: this.#libraryCalls, stopping: signal });
    this.#port = new GrpcPort(host, library, this.#options);
    new WebPort(this.#front, host, library, this.#options.allowedOrigins).serve();
    await this.#port.listen();
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const { random, limits } = this.#host;
    const port = this.#port.stopListening();
    // A call without its request has no session, so the hub cannot tell it to go.
    for (const call of [...this.#port.calls, ...this.#libraryCalls])
      call.goAway(spreadMs(limits.retryAfterMs, random));
    this.#stopping.abort();
    await port.close(deadline);
  }
}
