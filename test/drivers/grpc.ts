import { fileURLToPath } from 'node:url';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { GapNotice } from '@everywire/protocol';
import {
  Refused,
  type Addresses,
  type Answer,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

/** A client of `grpc-js`, made from the .proto at run time: somebody else's gRPC and somebody else's protobuf. */
const definition = loadSync('everywire/v1/messaging.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  longs: Number,
  defaults: true,
  oneofs: true,
});

interface ProtoMessage {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly event: string;
  readonly type: string;
  readonly data: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

interface ProtoGap {
  readonly channel: string;
  readonly from: number;
  readonly to: number;
  readonly reason: GapNotice['reason'];
  readonly cursor: string;
}

interface Response {
  readonly kind: 'subscribed' | 'message' | 'gap' | 'goaway';
  readonly subscribed?: { readonly cursor: string; readonly exact: boolean };
  readonly message?: ProtoMessage;
  readonly gap?: ProtoGap;
}

interface MessagingClient {
  close(): void;
  subscribe(request: object): ClientReadableStream<Response>;
  publish(
    request: object,
    metadata: Metadata,
    answered: (error: ServiceError | null, answer: Answer) => void,
  ): void;
}

type MessagingConstructor = new (
  address: string,
  trust: ReturnType<typeof credentials.createInsecure>,
) => MessagingClient;

const { Messaging } = (
  loadPackageDefinition(definition) as unknown as {
    readonly everywire: { readonly v1: { readonly Messaging: MessagingConstructor } };
  }
).everywire.v1;

function connect({ grpc }: Addresses): MessagingClient {
  return new Messaging(grpc!, credentials.createInsecure());
}

/** The code is the reason of the ErrorInfo in `grpc-status-details-bin`, in which it stands as plain text. */
function refusedBy(error: ServiceError): Refused {
  const [details] = error.metadata.get('grpc-status-details-bin');
  const reason = /ErrorInfo[^A-Z]*([A-Z_]+)/.exec(details?.toString('latin1') ?? '')?.[1];
  return new Refused(error.code, reason?.toLowerCase() ?? String(error.code));
}

export const grpcDriver: TransportDriver = {
  name: 'grpc',
  async read(server, filter, from): Promise<Reader> {
    const client = connect(server);
    const stream = client.subscribe({ channels: [filter], ...from });
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
    const { subscribed } = await inbox.next();
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
  },
  publish(server, channel, { payload, ...rest }): Promise<Answer> {
    const client = connect(server);
    return new Promise<Answer>((resolve, reject) => {
      client.publish({ channel, data: payload, ...rest }, new Metadata(), (error, answer) => {
        client.close();
        if (error === null) resolve(answer);
        else reject(refusedBy(error));
      });
    });
  },
};

function receivedOf({ channel, offset, cursor, data, type, event, headers }: ProtoMessage): Received {
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

function noticeOf({ from, to, ...gap }: ProtoGap): GapNotice {
  return to === 0 ? gap : { ...gap, from, to };
}
