import { create, toBinary } from '@bufbuild/protobuf';
import { EverywireError, type From } from '@everywire/protocol';
import {
  SubscribedSchema,
  SubscribeResponseSchema,
  type SubscribeRequest,
  type SubscribeResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { frameMessage } from '@everywire/wires/grpc';
import type { Batch } from '../../core/log/batch.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import { followInOrder } from '../../http/follow-in-order.ts';
import { fromOf, protoGap, protoGoAway } from './convert.ts';
import type { Party } from './caller.ts';
import type { ResponseWriter } from './response-writer.ts';
import { subscribeFormat } from './format.ts';
import type { GrpcHost } from './limits.ts';
import { refusalOf } from '../parts/refusal.ts';

const transport = 'grpc';

/** `Subscribe`: channels and filters in one stream, in the one order of the store. `Subscribed` comes first. */
export class SubscribeCall implements Sink {
  readonly #host: GrpcHost;
  readonly #party: Party;
  readonly #responses: ResponseWriter;
  #session: Session | undefined;
  /** `Subscribed` was sent. */
  #hasBegun = false;
  #hasEnded = false;

  constructor(host: GrpcHost, party: Party, responses: ResponseWriter) {
    this.#host = host;
    this.#party = party;
    this.#responses = responses;
  }

  /** Never rejects: a refusal of the hub ends the call. */
  async start(request: SubscribeRequest): Promise<void> {
    try {
      if (this.#host.hub.isDraining) throw new EverywireError('going_away', 'The server is shutting down.');
      const filters = [...new Set(request.channels)];
      const { subscriptionsMax } = this.#host.limits;
      if (filters.length === 0 || filters.length > subscriptionsMax) {
        throw new EverywireError(
          'invalid',
          `channels must have 1 to ${subscriptionsMax} channels or filters.`,
        );
      }
      const from = fromOf(request, this.#host.clock.nowMs());
      if (this.#hasEnded) return;
      await this.#follow(filters, from);
    } catch (caught) {
      this.#fail(caught);
    }
  }

  drained(): void {
    this.#session?.drained();
  }

  /** The peer has gone. */
  ended(): void {
    this.#hasEnded = true;
    this.#session?.end();
  }

  goAway(retryAfterMs: number): void {
    if (this.#hasEnded) return;
    if (this.#hasBegun) this.#send({ case: 'goaway', value: protoGoAway(retryAfterMs) });
    this.close({ error: new EverywireError('going_away', 'The server is shutting down.', { retryAfterMs }) });
  }

  deliver(batch: Batch): boolean {
    return this.#responses.send(batch.as(subscribeFormat).bytes);
  }

  notify(notice: Notice): void {
    if (notice.kind === 'gap') this.#send({ case: 'gap', value: protoGap(notice.gap) });
    else if (notice.kind === 'ended')
      this.close({ error: notice.error ?? new EverywireError('going_away', 'The subscription has ended.') });
    else this.goAway(notice.retryAfterMs);
  }

  close({ error }: CloseReason): void {
    if (this.#hasEnded) return;
    this.ended();
    this.#responses.end(error);
  }

  async #follow(filters: readonly string[], from: From | undefined): Promise<void> {
    const { identity, ...peer } = this.#party;
    const session = this.#host.hub.open(identity, { transport, ...peer }, this);
    this.#session = session;
    const { place, start } = await followInOrder(session, filters, { from, host: this.#host });
    this.#begin(place.cursor, place.startGaps);
    start();
  }

  #begin(cursor: string, gaps: readonly Gap[]): void {
    if (this.#hasEnded) return;
    this.#send({ case: 'subscribed', value: create(SubscribedSchema, { cursor, exact: gaps.length === 0 }) });
    for (const gap of gaps) this.#send({ case: 'gap', value: protoGap(gap) });
    this.#hasBegun = true;
  }

  #send(kind: SubscribeResponse['kind']): void {
    this.#responses.send(
      frameMessage(toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { kind }))),
    );
  }

  #fail(caught: unknown): void {
    this.close({ error: refusalOf(caught, this.#host.log, 'a gRPC subscription failed') });
  }
}
