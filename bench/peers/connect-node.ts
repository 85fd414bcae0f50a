import { create } from '@bufbuild/protobuf';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createServer } from 'node:http2';
import {
  Messaging,
  SubscribeResponseSchema,
  type SubscribeResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { listen } from './listen.ts';
import { servePeer } from './peer-calls.ts';

// A broadcast as the guide of Connect has it: each call is a generator, which yields message by message.
class Outbox {
  #waiting: SubscribeResponse[] = [];
  #wake: (() => void) | undefined;

  push(response: SubscribeResponse): void {
    this.#waiting.push(response);
    this.#wake?.();
  }

  async *responses(): AsyncGenerator<SubscribeResponse> {
    for (;;) {
      const responses = this.#waiting;
      this.#waiting = [];
      yield* responses;
      if (this.#waiting.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const outboxes = new Set<Outbox>();
const started = create(SubscribeResponseSchema, {
  kind: { case: 'subscribed', value: { cursor: '', exact: true } },
});
const server = createServer(
  connectNodeAdapter({
    routes: (router) => {
      router.service(Messaging, {
        async *subscribe() {
          const outbox = new Outbox();
          outbox.push(started);
          outboxes.add(outbox);
          yield* outbox.responses();
        },
      });
    },
  }),
);

servePeer(listen(server), (payload) => {
  const data = Buffer.from(payload);
  const response = create(SubscribeResponseSchema, { kind: { case: 'message', value: { data } } });
  for (const outbox of outboxes) outbox.push(response);
});
