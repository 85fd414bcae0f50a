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
import type { GapNotice } from '@everywire/protocol';
import {
  keepsItsOwnPlace,
  publishesApart,
  bearer,
  publishOver,
  Refused,
  type Addresses,
  type Answer,
  type From,
  type Publisher,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

/** A client of `grpc-js`, made from the .proto at run time: gRPC and protobuf of another project. */
const definition = loadSync('everywire/v1/messaging.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  longs: Number,
  defaults: true,
  oneofs: true,
});

export interface ProtoMessage {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly event: string;
  readonly type: string;
  readonly data: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ProtoGap {
  readonly channel: string;
  readonly from: number;
  readonly to: number;
  readonly reason: GapNotice['reason'];
  readonly cursor: string;
}

interface Response {
  readonly kind: 'subscribed' | 'message' | 'gap' | 'goaway';
  readonly subscribed?: Subscribed;
  readonly message?: ProtoMessage;
  readonly gap?: ProtoGap;
}

interface Subscribed {
  readonly cursor: string;
  readonly exact: boolean;
}

export interface StreamResponse {
  readonly id: number;
  readonly redelivered: boolean;
  readonly kind: 'message' | 'gap' | 'subscribed' | 'published' | 'done' | 'refused' | 'goaway';
  readonly message?: ProtoMessage;
  readonly gap?: ProtoGap;
  readonly subscribed?: Subscribed;
  readonly published?: Answer;
  readonly refused?: { readonly code: string; readonly message: string };
}

export interface MessagingClient {
  close(): void;
  subscribe(request: object, metadata: Metadata): ClientReadableStream<Response>;
  stream(metadata: Metadata): ClientDuplexStream<object, StreamResponse>;
  publish(
    request: object,
    metadata: Metadata,
    answered: (error: ServiceError | null, answer: Answer) => void,
  ): void;
}

type MessagingConstructor = new (
  address: string,
  trust: ReturnType<typeof credentials.createInsecure>,
  options: ChannelOptions,
) => MessagingClient;

const { Messaging } = (
  loadPackageDefinition(definition) as unknown as {
    readonly everywire: { readonly v1: { readonly Messaging: MessagingConstructor } };
  }
).everywire.v1;

/** Opens a separate connection for each client. */
export function openClient({ grpc }: Addresses): MessagingClient {
  return new Messaging(grpc!, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
}

export function metadataOf(server: Addresses): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(bearer(server))) metadata.set(name, value);
  return metadata;
}

/** The code is the reason of the ErrorInfo in `grpc-status-details-bin`, which contains it as plain text. */
export function refusedBy(error: ServiceError): Refused {
  const [details] = error.metadata.get('grpc-status-details-bin');
  const text = details?.toString('latin1') ?? '';
  const reason = /ErrorInfo[^A-Z]*([A-Z_]+)/.exec(text)?.[1];
  return new Refused(error.code, reason?.toLowerCase() ?? String(error.code), `${error.details} ${text}`);
}

async function subscribe(server: Addresses, channels: readonly string[], from?: From): Promise<Reader> {
  const client = openClient(server);
  const stream = client.subscribe({ channels, ...from }, metadataOf(server));
  const inbox = new Inbox<Response>();
  const goodbye = Promise.withResolvers<string>();
  let refusal: Error | undefined;
  stream.on('data', (response: Response) => {
    if (response.kind === 'goaway') goodbye.resolve('going_away');
    inbox.push(response);
  });
  stream.on('error', (error: ServiceError) => {
    refusal = refusedBy(error);
    goodbye.resolve(refusal.message);
    inbox.end(refusal);
  });
  stream.on('end', () => inbox.end(refusal ?? new Error('the call ended')));
  let first: Response;
  try {
    first = await inbox.next();
  } catch (error) {
    client.close();
    throw error;
  }
  const { subscribed } = first;
  let gap = subscribed!.exact ? undefined : noticeOf((await inbox.next()).gap!);
  let cursor = gap?.cursor ?? subscribed!.cursor;
  return {
    continuity: gap === undefined ? 'exact' : 'gap',
    get gap() {
      return gap;
    },
    get cursor() {
      return cursor;
    },
    async next(): Promise<Received> {
      for (;;) {
        const { message, gap: later } = await inbox.next();
        if (later != null) gap = noticeOf(later);
        if (message == null) continue;
        ({ cursor } = message);
        return receivedOf(message);
      }
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    close: () => {
      stream.cancel();
      client.close();
    },
    cut: () => {
      stream.cancel();
      client.close();
    },
    goodbye: goodbye.promise,
  };
}

async function connect(server: Addresses): Promise<Publisher> {
  const client = openClient(server);
  const metadata = metadataOf(server);
  return {
    publish: (channel, { payload, ...rest }) =>
      new Promise((resolve, reject) => {
        client.publish({ channel, data: payload, ...rest }, metadata, (error, answer) => {
          if (error === null) resolve(answer);
          else reject(refusedBy(error));
        });
      }),
    isOpen: true,
    close: () => client.close(),
  };
}

export const grpcDriver: TransportDriver = {
  name: 'grpc',
  transport: 'grpc',
  read: (server, filter, from) => subscribe(server, [filter], from),
  readSeveral: (server, filters) => subscribe(server, filters),
  ...keepsItsOwnPlace,
  ...publishesApart,
  readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
  readRefreshably: { lacks: 'a Subscribe call has one request: a reader comes back with the cursor' },
  connect,
  publish: publishOver(connect),
  refusedPublisher: 'stays',
  goodbyeOfToken: /^16 unauthorized$/,
};

export function receivedOf({ channel, offset, cursor, data, type, event, headers }: ProtoMessage): Received {
  return {
    channel,
    offset,
    cursor,
    payload: data,
    type,
    event: event === '' ? undefined : event,
    headers: Object.keys(headers).length === 0 ? undefined : headers,
  };
}

export function noticeOf({ from, to, ...gap }: ProtoGap): GapNotice {
  return to === 0 ? gap : { ...gap, from, to };
}
