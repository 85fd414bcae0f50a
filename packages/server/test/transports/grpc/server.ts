import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Stream } from 'node:http2';
import { expect } from 'vitest';
import { openAccess, type Access } from '../../../src/core/sessions/access.ts';
import { createHub, type Hub } from '../../../src/core/hub.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import type { Host, Transport } from '../../../src/core/seams/transport.ts';
import { Callers } from '../../../src/http/credentials.ts';
import { RawRequests } from '../../../src/http/raw-requests.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import { createGrpcTransport } from '../../../src/transports/grpc/transport.ts';

const streamStarts = 'http2.server.stream.start';

/** The gRPC transport on the real hub and the memory store. */
export class GrpcServer {
  readonly hub: Hub;
  readonly transport: Transport;
  readonly address: string;
  /** What was logged as an error, which no peer's input may cause. */
  readonly errors: string[];
  readonly warnings: string[];
  readonly #streams = new Set<ServerHttp2Stream>();
  readonly #onStream = (message: unknown): void => {
    this.#streams.add((message as { readonly stream: ServerHttp2Stream }).stream);
  };
  #publisher: Session | undefined;

  private constructor(parts: Pick<GrpcServer, 'hub' | 'transport' | 'address' | 'errors' | 'warnings'>) {
    this.hub = parts.hub;
    this.transport = parts.transport;
    this.address = parts.address;
    this.errors = parts.errors;
    this.warnings = parts.warnings;
    subscribe(streamStarts, this.#onStream);
  }

  static async start(
    options: {
      readonly limits?: Partial<AllLimits>;
      readonly port?: number;
      readonly isDefaultPort?: boolean;
      readonly access?: Access;
    } = {},
  ): Promise<GrpcServer> {
    const { port = 0, isDefaultPort = false, access = openAccess } = options;
    const random = createSystemRandom();
    const limits = { ...defaultLimits, ...options.limits };
    const errors: string[] = [];
    const warnings: string[] = [];
    const quiet = () => undefined;
    const log = {
      debug: quiet,
      info: quiet,
      warn: (_fields: object, text: string) => {
        warnings.push(text);
      },
      error: (fields: object, text: string) => {
        errors.push(`${text}: ${String((fields as { err?: unknown }).err)}`);
      },
    };
    const hub = createHub({
      store: createMemoryStore({ clock: systemClock, random, limits }),
      clock: systemClock,
      random,
      access,
      namespaces: createNamespaces([], defaultRules, limits),
      limits,
      log,
    });
    await hub.start();
    const transport = createGrpcTransport(
      { requests: new RawRequests(), callers: new Callers({ hub }), url: 'http://127.0.0.1:0' },
      { listen: { host: '127.0.0.1', port, isDefaultPort } },
    );
    const host: Host = { hub, records: hub.store.records, limits, clock: systemClock, random, log };
    try {
      await transport.start(host);
    } catch (error) {
      await hub.stop();
      throw error;
    }
    const url = transport.endpoints.find((endpoint) => endpoint.url.startsWith('grpc://'))?.url ?? '';
    return new GrpcServer({ hub, transport, address: url.slice('grpc://'.length), errors, warnings });
  }

  /** Publishes from another session. */
  async publish(channel: string, payload: string): Promise<string> {
    this.#publisher ??= this.hub.open(
      await this.hub.authenticate({ token: undefined, address: undefined }),
      { transport: 'test' },
      { deliver: () => true, notify: () => undefined, close: () => undefined },
    );
    return (await this.#publisher.publish(channel, { payload: Buffer.from(payload), type: 'text/plain' }))
      .cursor;
  }

  /** The most that any stream has unsent. */
  unsentBytes(): number {
    return Math.max(0, ...[...this.#streams].map(({ writableLength }) => writableLength));
  }

  /** Whether anything that clients send is read. */
  get isReading(): boolean {
    return [...this.#streams].some(({ readableFlowing }) => readableFlowing === true);
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** No session and no subscription of gRPC is left. */
  async settled(): Promise<void> {
    const held = (): readonly number[] => [
      this.hub.figures.sessions.get('grpc') ?? 0,
      this.hub.figures.subscriptions,
    ];
    await expect.poll(held, { timeout: 10_000, interval: 10 }).toEqual([0, 0]);
  }

  async stop(): Promise<void> {
    unsubscribe(streamStarts, this.#onStream);
    this.hub.beginDrain();
    await this.transport.drain(AbortSignal.timeout(500));
    await this.hub.stop();
    expect(this.errors).toEqual([]);
  }
}
