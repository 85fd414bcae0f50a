import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { EverywireError } from '@everywire/protocol';
import type { Host, Session, Sink } from '../../core/transport.ts';
import { connectErrorOf, draftOf, fromOf, publishResponse, readResponse } from './convert.ts';
import {
  Messaging,
  StreamResponseSchema,
  SubscribeResponseSchema,
  type StreamRequest,
} from './generated/everywire/v1/messaging_pb.js';
import { addHealth } from './health.ts';
import type { Caller, Outlet } from './outlet.ts';
import { addReflection } from './reflection.ts';
import { StreamCall } from './stream-call.ts';
import { SubscribeCall } from './subscribe-call.ts';
import { prefixBytes } from './wire/frames.ts';

const bearer = /^Bearer +([^\s]+)\s*$/i;
const silent: Sink = { deliver: () => true, notify: () => undefined, close: () => undefined };

/** The service as Connect, gRPC-Web and gRPC see it. `calls` are told when the server stops. */
export function addServices(router: ConnectRouter, host: Host, calls: Set<StreamCall | SubscribeCall>): void {
  router.service(Messaging, {
    publish: (request, context) =>
      inSession(host, context, async (session) =>
        publishResponse(await session.publish(request.channel, draftOf(request))),
      ),
    read: (request, context) =>
      inSession(host, context, async (session) => {
        const { limits, clock } = host;
        const limit =
          request.limit === 0 ? limits.pageMessagesDefault : Math.min(request.limit, limits.pageMessagesMax);
        return readResponse(await session.read(request.channel, fromOf(request, clock.nowMs()), limit));
      }),
    async *subscribe(request, context) {
      const outlet = new QueuedOutlet(SubscribeResponseSchema);
      const call = new SubscribeCall(host, callerOf(context), outlet);
      outlet.drained = () => call.drained();
      yield* whileItLasts(call, outlet, context, calls, () => void call.start(request));
    },
    async *stream(requests, context) {
      const outlet = new QueuedOutlet(StreamResponseSchema);
      const inlet = new Gate();
      const call = new StreamCall(host, outlet, inlet);
      outlet.drained = () => call.drained();
      yield* whileItLasts(call, outlet, context, calls, () => {
        void call.start(callerOf(context));
        void feed(call, requests, inlet);
      });
    },
  });
  addHealth(router, host);
  addReflection(router);
}

async function inSession<T>(
  host: Host,
  context: HandlerContext,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { token, address } = callerOf(context);
  try {
    const identity = await host.hub.authenticate({ token, address });
    if (host.hub.isDraining) throw new EverywireError('going_away', 'This node is stopping.');
    const session = host.hub.open(identity, { transport: 'grpc', address }, silent);
    try {
      return await use(session);
    } finally {
      session.end('left');
    }
  } catch (caught) {
    const error = connectErrorOf(caught);
    if (error.code === Code.Internal) host.log.error({ err: caught }, 'a gRPC call failed');
    throw error;
  }
}

function callerOf({ requestHeader }: HandlerContext): Caller {
  return { token: bearer.exec(requestHeader.get('authorization') ?? '')?.[1], address: undefined };
}

/** Runs a streaming call as an iterable of its responses, until either side has enough. */
async function* whileItLasts<Desc extends DescMessage>(
  call: StreamCall | SubscribeCall,
  outlet: QueuedOutlet<Desc>,
  { signal }: HandlerContext,
  calls: Set<StreamCall | SubscribeCall>,
  start: () => void,
): AsyncGenerator<MessageShape<Desc>> {
  const abort = (): void => {
    call.ended('lost');
    outlet.end();
  };
  signal.addEventListener('abort', abort, { once: true });
  calls.add(call);
  try {
    start();
    yield* outlet.responses();
  } finally {
    signal.removeEventListener('abort', abort);
    calls.delete(call);
    call.ended('lost');
  }
}

async function feed(call: StreamCall, requests: AsyncIterable<StreamRequest>, gate: Gate): Promise<void> {
  try {
    for await (const request of requests) {
      call.receive(request);
      await gate.opened;
    }
    call.halfClosed();
  } catch {
    // The peer broke off, which ends the call by its signal.
  }
}

/** Lets requests through, or not. */
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
 * Responses of a call for a library that wants them one by one. It is held while anything waits, so no more than a batch
 * does. Frames are decoded again: this way serves browsers, of which there are few per server; gRPC has its own.
 */
class QueuedOutlet<Desc extends DescMessage> implements Outlet {
  readonly #schema: Desc;
  #waiting: Buffer[] = [];
  #wake: (() => void) | undefined;
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
  }

  async *responses(): AsyncGenerator<MessageShape<Desc>> {
    for (;;) {
      const framed = this.#waiting.shift();
      if (framed !== undefined) {
        for (let at = 0; at < framed.length;) {
          const end = at + prefixBytes + framed.readUInt32BE(at + 1);
          yield fromBinary(this.#schema, framed.subarray(at + prefixBytes, end));
          at = end;
        }
        if (this.#waiting.length === 0) this.drained();
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

/** What a client is told that calls a server which stops. */
export function stoppingError(): ConnectError {
  return connectErrorOf(new EverywireError('going_away', 'This node is stopping.'));
}
