import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import {
  Code,
  createContextKey,
  createContextValues,
  type ConnectRouter,
  type ContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { Socket } from 'node:net';
import { EverywireError } from '@everywire/protocol';
import type { Session } from '../../core/seams/session-api.ts';
import type { Peer } from '../../http/peer.ts';
import { countedOf } from '../../net/counted.ts';
import { connectionKey } from '../../net/guard.ts';
import { certificateOf } from '../../net/tls-end.ts';
import { connectErrorOf } from './convert.ts';
import {
  Messaging,
  StreamResponseSchema,
  SubscribeResponseSchema,
  type StreamRequest,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { addHealth } from './health.ts';
import type { Caller, Party } from './caller.ts';
import type { ResponseWriter } from './response-writer.ts';
import { addReflection } from './reflection.ts';
import { StreamCall } from './stream-call.ts';
import { SubscribeCall } from './subscribe-call.ts';
import { inSession, publish, read } from './unary-call.ts';
import { prefixBytes } from '@everywire/wires/grpc';
import type { GrpcHost } from './limits.ts';

/** The caller, authenticated before the server read any of the request; or the refusal. */
export type Admitted = { readonly party: Party } | { readonly refusal: EverywireError };

export const admittedKey = createContextKey<Admitted>({
  refusal: new EverywireError('unauthorized', 'The call was not authenticated.'),
});

/** For the library's adapter, which does not pass the source of a request to handlers. */
export function contextOf(admitted: Admitted): ContextValues {
  return createContextValues().set(admittedKey, admitted);
}

/** @throws ConnectError for a refused caller */
export function partyOf({ values }: HandlerContext): Party {
  const admitted = values.get(admittedKey);
  if ('refusal' in admitted) throw connectErrorOf(admitted.refusal);
  return admitted.party;
}

export function placeOf(socket: Socket): Omit<Caller, 'token'> {
  return {
    address: socket.remoteAddress,
    certificate: certificateOf(socket),
    connection: connectionKey(socket),
  };
}

/** Many callers may share the connection of a proxy, so rates do not count by connection there. */
export function peerOn(socket: Socket, { admission }: GrpcHost): Peer {
  const { remoteAddress: address } = socket;
  const isShared = address !== undefined && admission?.isExempt(address) === true;
  return { address, counted: isShared ? undefined : countedOf(socket) };
}

export interface ServiceOptions {
  /** The open streaming calls, which get a notice when the server stops. */
  readonly calls: Set<StreamCall | SubscribeCall>;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

/** The services for Connect, gRPC-Web and gRPC in JSON. */
export function addServices(
  router: ConnectRouter,
  host: GrpcHost,
  { calls, stopping }: ServiceOptions,
): void {
  router.service(Messaging, {
    publish: (request, context) => asCaller(host, context, (session) => publish(session, request)),
    read: (request, context) => asCaller(host, context, (session) => read(session, request, host)),
    async *subscribe(request, context) {
      const responses = new QueuedResponses(SubscribeResponseSchema);
      const call = new SubscribeCall(host, partyOf(context), responses);
      responses.drained = () => call.drained();
      yield* whileItLasts(call, responses, context, calls, () => void call.start(request));
    },
    async *stream(requests, context) {
      const party = partyOf(context);
      const responses = new QueuedResponses(StreamResponseSchema);
      const inlet = new Gate();
      const call = new StreamCall(host, responses, inlet);
      responses.drained = () => call.drained();
      yield* whileItLasts(call, responses, context, calls, () => {
        call.start(party);
        void feed(call, requests, { inlet, responses });
      });
    },
  });
  addHealth(router, host, stopping);
  addReflection(router, stopping, partyOf);
}

async function asCaller<T>(
  host: GrpcHost,
  context: HandlerContext,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  try {
    refuseIfOver(context);
    return await inSession(host, partyOf(context), use);
  } catch (caught) {
    const error = connectErrorOf(caught);
    if (error.code === Code.Internal) host.log.error({ err: caught }, 'a gRPC call failed');
    throw error;
  }
}

/** The library treats a time-out of 0 as no time-out. */
function refuseIfOver({ requestHeader }: HandlerContext): void {
  const isOver =
    /^0+$/.test(requestHeader.get('connect-timeout-ms') ?? '') ||
    /^0+[HMSmun]$/.test(requestHeader.get('grpc-timeout') ?? '');
  if (isOver) throw new EverywireError('timed_out', 'The deadline of the call has passed.');
}

/** Runs a streaming call as an iterable of its responses, until either side has enough. */
async function* whileItLasts<Desc extends DescMessage>(
  call: StreamCall | SubscribeCall,
  responses: QueuedResponses<Desc>,
  context: HandlerContext,
  calls: Set<StreamCall | SubscribeCall>,
  start: () => void,
): AsyncGenerator<MessageShape<Desc>> {
  const { signal } = context;
  try {
    refuseIfOver(context);
  } catch (caught) {
    throw connectErrorOf(caught);
  }
  const abort = (): void => {
    call.ended();
    responses.end();
  };
  signal.addEventListener('abort', abort, { once: true });
  calls.add(call);
  try {
    start();
    yield* responses.messages();
  } finally {
    signal.removeEventListener('abort', abort);
    calls.delete(call);
    call.ended();
    responses.end();
  }
}

/** Takes one request after the other while the peer takes the answers: it does not read from a peer that does not read. */
async function feed(
  call: StreamCall,
  requests: AsyncIterable<StreamRequest>,
  { inlet, responses }: { readonly inlet: Gate; readonly responses: { taken(): Promise<void> } },
): Promise<void> {
  try {
    for await (const request of requests) {
      call.receive(request);
      await inlet.opened;
      await responses.taken();
    }
    call.halfClosed();
  } catch {
    // The peer broke off, which ends the call by its signal.
  }
}

/** A gate that lets requests through while it is open. */
class Gate {
  opened: Promise<void> = Promise.resolve();
  #open: (() => void) | undefined;

  pause(): void {
    if (this.#open !== undefined) return;
    this.opened = new Promise((resolve) => (this.#open = resolve));
  }

  resume(): void {
    this.#open?.();
    this.#open = undefined;
  }
}

/**
 * The responses of a call, for a library that takes them one by one. The core stops delivery while a response waits, so
 * at most one batch waits. It decodes the frames again; this costs little, because a server has few browsers that use
 * gRPC, and native gRPC has its own code.
 */
class QueuedResponses<Desc extends DescMessage> implements ResponseWriter {
  readonly #schema: Desc;
  #waiting: Buffer[] = [];
  #wake: (() => void) | undefined;
  #whenTaken: (() => void) | undefined;
  #ended: { readonly error: EverywireError | undefined } | undefined;
  drained: () => void = () => undefined;

  constructor(schema: Desc) {
    this.#schema = schema;
  }

  send(framed: Buffer): boolean {
    this.#waiting.push(framed);
    this.#wake?.();
    return false;
  }

  end(error?: EverywireError): void {
    this.#ended ??= { error };
    this.#wake?.();
    this.#whenTaken?.();
  }

  /** Resolves when no response waits, or the call is over. */
  taken(): Promise<void> {
    if (this.#waiting.length === 0 || this.#ended !== undefined) return Promise.resolve();
    return new Promise((resolve) => (this.#whenTaken = resolve));
  }

  async *messages(): AsyncGenerator<MessageShape<Desc>> {
    for (;;) {
      const framed = this.#waiting.shift();
      if (framed !== undefined) {
        for (let at = 0; at < framed.length;) {
          const end = at + prefixBytes + framed.readUInt32BE(at + 1);
          yield fromBinary(this.#schema, framed.subarray(at + prefixBytes, end));
          at = end;
        }
        if (this.#waiting.length > 0) continue;
        this.#whenTaken?.();
        this.#whenTaken = undefined;
        this.drained();
        continue;
      }
      if (this.#ended !== undefined) {
        const { error } = this.#ended;
        if (error !== undefined) throw connectErrorOf(error);
        return;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
