import { randomUUID } from 'node:crypto';
import type { ServiceError } from '@grpc/grpc-js';
import {
  hearsItself,
  publishOver,
  Refused,
  type AcknowledgingReader,
  type Addresses,
  type Publisher,
  type PublishingReader,
  type RefreshableReader,
  type TransportDriver,
} from './driver.ts';
import { metadataOf, noticeOf, openClient, receivedOf, refusedBy, type StreamResponse } from './grpc.ts';
import { Inbox } from './inbox.ts';

/** A call of `Stream`: commands and many channels in one. */
class Call {
  readonly deliveries = new Inbox<StreamResponse>();
  readonly goodbye: Promise<string>;
  readonly #answers = new Inbox<StreamResponse>();
  readonly #client: ReturnType<typeof openClient>;
  readonly #stream: ReturnType<ReturnType<typeof openClient>['stream']>;
  #lastId = 0;
  #isOpen = true;

  constructor(server: Addresses) {
    this.#client = openClient(server);
    this.#stream = this.#client.stream(metadataOf(server));
    const goodbye = Promise.withResolvers<string>();
    this.goodbye = goodbye.promise;
    const end = (cause: Error): void => {
      this.#isOpen = false;
      goodbye.resolve(cause.message);
      this.deliveries.end(cause);
      this.#answers.end(cause);
    };
    this.#stream.on('data', (response: StreamResponse) => {
      if (response.kind === 'goaway') goodbye.resolve('going_away');
      else if (response.kind === 'message' || response.kind === 'gap') this.deliveries.push(response);
      else this.#answers.push(response);
    });
    this.#stream.on('error', (error: ServiceError) => end(refusedBy(error)));
    this.#stream.on('end', () => end(new Error('the call ended')));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** One command after the other. */
  async ask(command: object): Promise<StreamResponse> {
    this.#stream.write({ id: (this.#lastId += 1), ...command });
    const answer = await this.#answers.next();
    const { refused } = answer;
    if (refused != null) throw new Refused(0, refused.code, refused.message);
    return answer;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

async function read(server: Addresses, filter: string, from: object = {}): Promise<RefreshableReader> {
  return readOn(new Call(server), filter, from);
}

async function readOn(call: Call, filter: string, from: object = {}): Promise<RefreshableReader> {
  const { cursor: startCursor, exact } = await subscribe(call, filter, from);
  let gap = exact ? undefined : noticeOf((await call.deliveries.next()).gap!);
  let cursor = gap?.cursor ?? startCursor;
  return {
    continuity: exact ? 'exact' : 'gap',
    get gap() {
      return gap;
    },
    get cursor() {
      return cursor;
    },
    async next() {
      for (;;) {
        const { message, gap: later } = await call.deliveries.next();
        if (later != null) gap = noticeOf(later);
        if (message == null) continue;
        ({ cursor } = message);
        return receivedOf(message);
      }
    },
    async refresh(token) {
      await call.ask({ auth: token });
    },
    pause: () => call.pause(),
    resume: () => call.resume(),
    close: () => call.close(),
    cut: () => call.close(),
    goodbye: call.goodbye,
  };
}

async function subscribe(call: Call, channel: string, from: object) {
  try {
    return (await call.ask({ subscribe: { channel, ...from } })).subscribed!;
  } catch (error) {
    call.close();
    throw error;
  }
}

/** A member of a private group. The next member joins before it leaves, since a group ends with its last member. */
async function readAcknowledging(server: Addresses, filter: string): Promise<AcknowledgingReader> {
  const member = async (shared: string): Promise<AcknowledgingReader> => {
    const call = new Call(server);
    // A subscription is known by the id of its command.
    const { id: subscription, subscribed } = await call.ask({
      subscribe: { channel: shared, acknowledge: true },
    });
    let { cursor } = subscribed!;
    return {
      continuity: 'exact',
      gap: undefined,
      get cursor() {
        return cursor;
      },
      async next() {
        const { message, redelivered } = await call.deliveries.next();
        ({ cursor } = message!);
        return { ...receivedOf(message!), isRepeated: redelivered };
      },
      async ack() {
        await call.ask({ ack: { subscription, cursor, only: true } });
      },
      async abandon() {
        const heir = await member(shared);
        call.close();
        return heir;
      },
      close: () => call.close(),
      cut: () => call.close(),
      goodbye: call.goodbye,
    };
  };
  return member(`$share/${randomUUID()}/${filter}`);
}

async function readAndPublish(server: Addresses, filter: string): Promise<PublishingReader> {
  const call = new Call(server);
  const { publish } = publisherOn(call);
  return Object.assign(await readOn(call, filter), { publish });
}

async function connect(server: Addresses): Promise<Publisher> {
  return publisherOn(new Call(server));
}

function publisherOn(call: Call): Publisher {
  return {
    publish: async (channel, { payload, ...rest }) =>
      (await call.ask({ publish: { channel, data: payload, ...rest } })).published!,
    get isOpen() {
      return call.isOpen;
    },
    close: () => call.close(),
  };
}

export const grpcStreamDriver: TransportDriver = {
  name: 'grpc stream',
  transport: 'grpc',
  read,
  async readSeveral(server, filters) {
    const call = new Call(server);
    for (const filter of filters) await subscribe(call, filter, {});
    return call;
  },
  readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
  readRefreshably: read,
  readAcknowledging,
  readDurably: { lacks: 'nothing is kept of one reader: it comes back with its cursor' },
  readAndPublish,
  readOthers: hearsItself,
  connect,
  publish: publishOver(connect),
  refusedPublisher: 'stays',
  goodbyeOfToken: /^16 unauthorized$/,
};
