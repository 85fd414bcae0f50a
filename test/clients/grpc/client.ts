import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ChannelOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Watchers } from './watchers.ts';

const definition = loadSync(['everywire/v1/messaging.proto', 'grpc/health/v1/health.proto'], {
  includeDirs: [fileURLToPath(new URL('../../../proto', import.meta.url))],
  longs: String,
  enums: String,
  oneofs: true,
});

export interface WireMessage {
  readonly channel: string;
  readonly offset: string;
  readonly cursor: string;
  readonly data: Buffer;
}

export interface StreamResponse {
  readonly id?: string;
  readonly kind: string;
  readonly message?: WireMessage;
  readonly redelivered?: boolean;
  readonly subscribed?: { readonly cursor: string; readonly exact?: boolean };
  readonly published?: { readonly offset: string; readonly cursor: string; readonly duplicate?: boolean };
  readonly refused?: { readonly code: string; readonly message: string };
}

type Unary = (
  request: object,
  metadata: Metadata,
  options: object,
  answered: (error: ServiceError | null, answer: Record<string, unknown>) => void,
) => void;

export interface MessagingClient {
  close(): void;
  publish: Unary;
  read: Unary;
  subscribe(request: object, options?: object): ClientReadableStream<StreamResponse>;
  stream(options?: object): ClientDuplexStream<object, StreamResponse>;
}

export interface HealthClient {
  close(): void;
  check: Unary;
  watch(request: object): ClientReadableStream<{ readonly status: string }>;
}

type Constructor<T> = new (
  address: string,
  trust: ReturnType<typeof credentials.createInsecure>,
  options?: ChannelOptions,
) => T;

const loaded = loadPackageDefinition(definition) as unknown as {
  readonly everywire: { readonly v1: { readonly Messaging: Constructor<MessagingClient> } };
  readonly grpc: { readonly health: { readonly v1: { readonly Health: Constructor<HealthClient> } } };
};

/** A client of grpc-js on a new connection. */
export function messagingClient(address: string, options: ChannelOptions = {}): MessagingClient {
  return new loaded.everywire.v1.Messaging(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  });
}

export function healthClient(address: string): HealthClient {
  return new loaded.grpc.health.v1.Health(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
}

export function ask<C extends MessagingClient | HealthClient>(
  client: C,
  method: keyof C & ('publish' | 'read' | 'check'),
  request: object,
  options: object = {},
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    (client[method] as Unary).call(client, request, new Metadata(), options, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}

/** Responses of a streaming call, and how it ended. */
export class Listening<T> {
  readonly responses: T[] = [];
  error: ServiceError | undefined;
  hasEnded = false;
  readonly #call: ClientReadableStream<T>;
  readonly #watchers = new Watchers();

  constructor(call: ClientReadableStream<T>) {
    this.#call = call;
    call.on('data', (response: T) => {
      this.responses.push(response);
      this.#watchers.look();
    });
    call.on('error', (error: ServiceError) => {
      this.error = error;
      this.hasEnded = true;
      this.#watchers.look();
    });
    call.on('end', () => {
      this.hasEnded = true;
      this.#watchers.look();
    });
  }

  async first(matches: (response: T) => boolean): Promise<T> {
    await this.until(() => this.responses.some(matches));
    return this.responses.find(matches)!;
  }

  async ended(): Promise<ServiceError | undefined> {
    await this.until(() => this.hasEnded);
    // The status comes behind the end of the responses.
    await new Promise((resolve) => setImmediate(resolve));
    return this.error;
  }

  cancel(): void {
    this.#call.cancel();
  }

  until(isSo: () => boolean): Promise<void> {
    return this.#watchers.until(isSo, () => this.responses.slice(-3));
  }
}

/** A Stream call. Requests are counted up from 1. */
export class StreamClient extends Listening<StreamResponse> {
  readonly call: ClientDuplexStream<object, StreamResponse>;
  #last = 0;

  constructor(client: MessagingClient, options: object = {}) {
    const call = client.stream(options);
    super(call);
    this.call = call;
  }

  /** Sends a command; returns its id. */
  send(command: object, id = String((this.#last += 1))): string {
    this.call.write({ id, ...command });
    return id;
  }

  /** Sends a command, and waits for the response with its id. */
  async ask(command: object, id?: string): Promise<StreamResponse> {
    const from = this.responses.length;
    const sent = this.send(command, id);
    const isAnswer = (one: StreamResponse): boolean =>
      (one.id ?? '0') === sent && one.kind !== 'message' && one.kind !== 'gap';
    await this.until(() => this.responses.slice(from).some(isAnswer));
    return this.responses.slice(from).find(isAnswer)!;
  }

  /** Payloads of a subscription's deliveries so far. */
  payloads(id: string): string[] {
    return this.deliveries(id).map(({ message }) => message!.data.toString());
  }

  deliveries(id: string): StreamResponse[] {
    return this.responses.filter((one) => one.id === id && one.kind === 'message');
  }

  async closed(): Promise<void> {
    if (!this.call.destroyed) await once(this.call, 'close');
  }
}
