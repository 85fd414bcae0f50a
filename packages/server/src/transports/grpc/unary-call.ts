import { toBinary } from '@bufbuild/protobuf';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Session } from '../../core/seams/session-api.ts';
import { draftOf, fromOf, publishResponse, readResponse } from './convert.ts';
import {
  PublishRequestSchema,
  PublishResponseSchema,
  ReadRequestSchema,
  ReadResponseSchema,
  type PublishRequest,
  type PublishResponse,
  type ReadRequest,
  type ReadResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type { Party } from './caller.ts';
import type { ResponseWriter } from './response-writer.ts';
import { frameMessage, decoded } from '@everywire/wires/grpc';
import type { GrpcHost } from './limits.ts';
import { inOneShotSession } from '../../core/sessions/one-shot-session.ts';

export async function publish(session: Session, request: PublishRequest): Promise<PublishResponse> {
  return publishResponse(await session.publish(request.channel, draftOf(request)));
}

export async function read(session: Session, request: ReadRequest, host: GrpcHost): Promise<ReadResponse> {
  const { limits, clock } = host;
  const limit =
    request.limit === 0 ? limits.pageMessagesDefault : Math.min(request.limit, limits.pageMessagesMax);
  return readResponse(await session.read(request.channel, fromOf(request, clock.nowMs()), limit));
}

/** Runs `use` in a session of the caller. @throws EverywireError for a refusal */
export async function inSession<T>(
  host: GrpcHost,
  party: Party,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  if (host.hub.isDraining) throw new EverywireError('going_away', 'The server is shutting down.');
  return inOneShotSession(host.hub, { transport: 'grpc', ...party }, use);
}

type Answer = (request: Buffer, session: Session, host: GrpcHost) => Promise<Uint8Array>;

const answers = {
  publish: async (request: Buffer, session: Session) =>
    toBinary(PublishResponseSchema, await publish(session, decoded(PublishRequestSchema, request))),
  read: async (request: Buffer, session: Session, host: GrpcHost) =>
    toBinary(ReadResponseSchema, await read(session, decoded(ReadRequestSchema, request), host)),
} satisfies Record<string, Answer>;

export type UnaryMethod = keyof typeof answers;

/** `Publish` and `Read`: one request, which is complete when the peer closes its half, and one response. */
export class UnaryCall {
  readonly #host: GrpcHost;
  readonly #party: Party;
  readonly #responses: ResponseWriter;
  readonly #answer: Answer;
  #request: Buffer | undefined;

  constructor(host: GrpcHost, party: Party, responses: ResponseWriter, method: UnaryMethod) {
    this.#host = host;
    this.#party = party;
    this.#responses = responses;
    this.#answer = answers[method];
  }

  /** @throws EverywireError for a second one */
  receive(request: Buffer): void {
    if (this.#request !== undefined) throw oneRequest();
    this.#request = request;
  }

  /** Never rejects. */
  async halfClosed(): Promise<void> {
    const request = this.#request;
    try {
      if (request === undefined) throw oneRequest();
      const response = await inSession(this.#host, this.#party, (session) =>
        this.#answer(request, session, this.#host),
      );
      this.#responses.send(frameMessage(response));
      this.#responses.end();
    } catch (caught) {
      const error = toEverywireError(caught);
      // Invalid bytes of the peer have the code `internal` too, but they are not a fault of the server.
      if (error.code === 'internal' && error !== caught)
        this.#host.log.error({ err: caught }, 'a gRPC call failed');
      this.#responses.end(error);
    }
  }
}

/** The status of gRPC for a wrong number of requests is UNIMPLEMENTED. */
export function oneRequest(): EverywireError {
  return new EverywireError('unsupported', 'This method must have exactly one request.');
}
