import { create, toBinary } from '@bufbuild/protobuf';
import { EverywireError, parseCursor } from '@everywire/protocol';
import type { Batch } from '../../core/log/batch.ts';
import type { Timer } from '../../core/clock.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import { draftOf, fromOf, protoGap, protoGoAway, publishResponse, refusal } from './convert.ts';
import {
  DoneSchema,
  StreamResponseSchema,
  SubscribedSchema,
  type Ack,
  type Follow,
  type PublishRequest,
  type StreamRequest,
  type StreamResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type { Party } from './caller.ts';
import type { ResponseWriter } from './response-writer.ts';
import { frameMessage } from '@everywire/wires/grpc';
import { streamFormat } from './format.ts';
import type { GrpcHost } from './limits.ts';
import { CommandPacer, type RequestFlow } from '../parts/command-pacer.ts';
import { refusalOf } from '../parts/refusal.ts';

interface ClientSubscription {
  readonly id: bigint;
  subscription: Subscription | undefined;
  isCancelled: boolean;
}

const transport = 'grpc';
/** How long an ending call waits for its unsent answers. */
const answersWithinMs = 1_000;

/** `Stream`: many subscriptions, publishes and acknowledgements on one stream. Each answer has the id of its request. */
export class StreamCall implements Sink {
  readonly #host: GrpcHost;
  readonly #responses: ResponseWriter;
  readonly #subscriptions = new Map<bigint, ClientSubscription>();
  #session: Session | undefined;
  readonly #pacer: CommandPacer;
  #hasEnded = false;
  /** The error with which the call ends once all requests are answered. */
  #closing: { readonly error: EverywireError; readonly timer: Timer } | undefined;
  /** The peer sends nothing more: the call ends when all requests are answered and no subscription is left. */
  #isHalfClosed = false;

  constructor(host: GrpcHost, responses: ResponseWriter, requests: RequestFlow) {
    this.#host = host;
    this.#responses = responses;
    this.#pacer = new CommandPacer(requests, host.limits);
  }

  /** Called before the first request. */
  start({ identity, ...peer }: Party): void {
    if (this.#host.hub.isDraining)
      this.close({ error: new EverywireError('going_away', 'The server is shutting down.') });
    else this.#session = this.#host.hub.open(identity, { transport, ...peer }, this);
  }

  receive(request: StreamRequest): void {
    if (!this.#hasEnded && this.#closing === undefined) this.#handle(request);
  }

  halfClosed(): void {
    this.#isHalfClosed = true;
    this.#endIfDone();
  }

  drained(): void {
    this.#session?.drained();
  }

  ended(): void {
    this.#hasEnded = true;
    this.#closing?.timer.cancel();
    this.#session?.end();
  }

  goAway(retryAfterMs: number): void {
    if (this.#hasEnded || this.#closing !== undefined) return;
    this.#send(0n, { case: 'goaway', value: protoGoAway(retryAfterMs) });
    this.close({ error: new EverywireError('going_away', 'The server is shutting down.', { retryAfterMs }) });
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    const followed = subscription.tag as ClientSubscription;
    const isRedelivered = batch.firstSeq <= subscription.redeliveredThroughSeq;
    return this.#responses.send(batch.as(streamFormat(followed.id, isRedelivered)).bytes);
  }

  notify(notice: Notice): void {
    if (notice.kind === 'goaway') {
      this.goAway(notice.retryAfterMs);
      return;
    }
    const { id } = notice.subscription.tag as ClientSubscription;
    if (notice.kind === 'gap') {
      this.#send(id, { case: 'gap', value: protoGap(notice.gap) });
      return;
    }
    this.#subscriptions.delete(id);
    if (notice.error === undefined) this.#done(id);
    else this.#refuse(id, notice.error);
  }

  /** Answers earlier requests first, unless that takes long. */
  close({ error }: CloseReason): void {
    if (this.#hasEnded || this.#closing !== undefined) return;
    const timer = this.#host.clock.after(answersWithinMs, () => this.#finish(error));
    this.#closing = { error, timer };
    this.#endIfDone();
  }

  #finish(error?: EverywireError): void {
    if (this.#hasEnded) return;
    this.ended();
    this.#responses.end(error);
  }

  #handle({ id, command }: StreamRequest): void {
    switch (command.case) {
      case 'subscribe':
        void this.#answering(id, () => this.#subscribe(id, command.value));
        break;
      case 'publish':
        void this.#answering(id, () => this.#publish(id, command.value), command.value.data.length);
        break;
      case 'unsubscribe':
        void this.#answering(id, async () => this.#unsubscribe(id, command.value.subscription));
        break;
      case 'ack':
        void this.#answering(id, async () => this.#acknowledge(id, command.value));
        break;
      case 'ping':
        this.#done(id);
        break;
      case 'auth':
        void this.#answering(id, async () => {
          await this.#session!.refresh(command.value);
          this.#done(id);
        });
        break;
      case undefined:
        this.#refuse(id, new EverywireError('invalid', 'A request must have a command.'));
        break;
    }
  }

  async #answering(id: bigint, run: () => Promise<void>, bytes = 0): Promise<void> {
    await this.#pacer.run(run, (caught) => this.#refuse(id, caught), bytes);
    this.#endIfDone();
  }

  async #subscribe(id: bigint, request: Follow): Promise<void> {
    if (id === 0n) throw new EverywireError('invalid', 'The id of a subscription must not be 0.');
    if (this.#subscriptions.has(id))
      throw new EverywireError('invalid', 'This stream already has a subscription with that id.');
    const followed: ClientSubscription = { id, subscription: undefined, isCancelled: false };
    this.#subscriptions.set(id, followed);
    try {
      followed.subscription = await this.#session!.subscribe(request.channel, {
        from: fromOf(request, this.#host.clock.nowMs()),
        tag: followed,
        ...(request.acknowledge
          ? { acknowledge: 'peer', ...(request.window === 0 ? {} : { windowMessages: request.window }) }
          : {}),
      });
    } catch (caught) {
      this.#subscriptions.delete(id);
      throw caught;
    }
    if (followed.isCancelled) followed.subscription.cancel();
    this.#begin(followed, followed.subscription);
  }

  #begin(followed: ClientSubscription, subscription: Subscription): void {
    if (this.#hasEnded) return;
    const { startCursor, startGaps } = subscription;
    const exact = startGaps.length === 0;
    this.#send(followed.id, {
      case: 'subscribed',
      value: create(SubscribedSchema, { cursor: startCursor, exact }),
    });
    for (const gap of startGaps) this.#send(followed.id, { case: 'gap', value: protoGap(gap) });
    subscription.start();
  }

  async #publish(id: bigint, request: PublishRequest): Promise<void> {
    const published = await this.#session!.publish(request.channel, draftOf(request));
    this.#send(id, { case: 'published', value: publishResponse(published) });
  }

  #unsubscribe(id: bigint, subscription: bigint): void {
    const followed = this.#find(subscription);
    followed.isCancelled = true;
    followed.subscription?.cancel();
    this.#subscriptions.delete(subscription);
    this.#done(id);
  }

  #acknowledge(id: bigint, { subscription, cursor, only, release }: Ack): void {
    const position = parseCursor(cursor);
    if (position === undefined)
      throw new EverywireError('bad_cursor', 'cursor must be the cursor of a delivered message.');
    const followed = this.#find(subscription);
    if (release) followed.subscription?.release(position.seq);
    else followed.subscription?.ack(position.seq, only);
    // Most acknowledgements ask for no answer.
    if (id !== 0n) this.#done(id);
  }

  #find(subscription: bigint): ClientSubscription {
    const followed = this.#subscriptions.get(subscription);
    if (followed !== undefined) return followed;
    throw new EverywireError('not_found', 'This stream has no subscription with that id.');
  }

  #done(id: bigint): void {
    this.#send(id, { case: 'done', value: create(DoneSchema) });
  }

  #refuse(id: bigint, caught: unknown): void {
    const error = refusalOf(caught, this.#host.log, 'a request on a gRPC stream failed');
    this.#send(id, { case: 'refused', value: refusal(error) });
  }

  #send(id: bigint, kind: StreamResponse['kind']): void {
    if (this.#hasEnded) return;
    this.#responses.send(
      frameMessage(toBinary(StreamResponseSchema, create(StreamResponseSchema, { id, kind }))),
    );
  }

  #endIfDone(): void {
    if (!this.#pacer.isIdle) return;
    if (this.#closing !== undefined) {
      this.#finish(this.#closing.error);
      return;
    }
    if (!this.#isHalfClosed) return;
    // A client that only listens may close its half: its subscriptions continue.
    if (this.#subscriptions.size === 0) this.#finish();
  }
}
