import { constants, type ServerHttp2Stream } from 'node:http2';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Timer } from '../../core/clock.ts';
import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Http2Connection } from '../../http/http2-connections.ts';
import {
  StreamRequestSchema,
  SubscribeRequestSchema,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type { CallHead } from './call-head.ts';
import type { Party } from './caller.ts';
import type { ResponseWriter } from './response-writer.ts';
import { listeningOf, Outbound } from '../../net/outbound.ts';
import { peerOn } from './service.ts';
import { trailersOf, MessageReader, decoded } from '@everywire/wires/grpc';
import { StreamCall } from './stream-call.ts';
import { SubscribeCall } from './subscribe-call.ts';
import { oneRequest, UnaryCall, type UnaryMethod } from './unary-call.ts';
import type { GrpcHost } from './limits.ts';
import { refusalOf } from '../parts/refusal.ts';

const okHead = { ':status': 200, 'content-type': 'application/grpc+proto' } as const;

/** The methods of this code, without a library between the bytes and the socket. */
export const ownMethods: ReadonlyMap<string, UnaryMethod | 'subscribe' | 'stream'> = new Map([
  ['/everywire.v1.Messaging/Publish', 'publish'],
  ['/everywire.v1.Messaging/Read', 'read'],
  ['/everywire.v1.Messaging/Subscribe', 'subscribe'],
  ['/everywire.v1.Messaging/Stream', 'stream'],
]);

export interface Http2CallOptions {
  readonly method: UnaryMethod | 'subscribe' | 'stream';
  readonly head: CallHead;
  readonly connection: Http2Connection;
  readonly forget: (call: Http2Call) => void;
}

/** One call on an HTTP/2 stream: frames in and out, back-pressure, deadline, trailers. */
export class Http2Call implements ResponseWriter {
  readonly #stream: ServerHttp2Stream;
  readonly #host: GrpcHost;
  readonly #reader: MessageReader;
  /** Set once the caller is authenticated. */
  #call: SubscribeCall | StreamCall | UnaryCall | undefined;
  readonly #forget: (call: Http2Call) => void;
  readonly #connection: Http2Connection;
  #deadline: Timer | undefined;
  /** The caller named no deadline: the server's own applies until the request has come. */
  #isDeadlineOurs = false;
  #closing: Timer | undefined;
  #trailers: Record<string, string> = {};
  #requests = 0;
  /** Made when it first has too much unsent. */
  #outbound: Outbound | undefined;
  #hasEnded = false;
  #isPaused = false;

  constructor(
    host: GrpcHost,
    stream: ServerHttp2Stream,
    { method, head, connection, forget }: Http2CallOptions,
  ) {
    this.#host = host;
    this.#stream = stream;
    this.#connection = connection;
    this.#forget = forget;
    this.#reader = new MessageReader(messageBytesMax(host.limits, 'bytes'));
    stream.respond(okHead, { waitForTrailers: true });
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('drain', () => this.#outbound?.drained());
    stream.on('error', (error: Error) => host.log.debug({ err: error }, 'a gRPC stream broke'));
    stream.on('close', () => this.#closed());
    const { caller, timeoutMs } = head;
    this.#isDeadlineOurs = timeoutMs === undefined && method !== 'stream';
    if (timeoutMs !== undefined) this.#endAfter(timeoutMs);
    else if (this.#isDeadlineOurs) this.#endAfter(host.limits.grpcRequestTimeoutMs);
    host.hub.authenticate(caller).then(
      (identity) => this.#begin(method, { identity, ...peerOn(connection.socket, host) }),
      (caught: unknown) => this.#fail(refusalOf(caught, host.log, 'a caller of gRPC could not be judged')),
    );
  }

  /** Starts to read the call; before authentication the server reads nothing of it. */
  #begin(method: Http2CallOptions['method'], party: Party): void {
    if (this.#hasEnded) return;
    const host = this.#host;
    if (method === 'stream') {
      const call = new StreamCall(host, this, { pause: () => this.#pause(), resume: () => this.#resume() });
      this.#call = call;
      call.start(party);
    } else if (method === 'subscribe') {
      this.#call = new SubscribeCall(host, party, this);
    } else {
      this.#call = new UnaryCall(host, party, this, method);
    }
    this.#stream.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#stream.on('end', () => this.#peerEnded());
  }

  send(framed: Buffer): boolean {
    if (this.#hasEnded || this.#stream.destroyed) return true;
    this.#stream.write(framed);
    this.#connection.sent();
    const { limits } = this.#host;
    // Answers and deliveries use the same method, so the bytes that stopped it count as a delivery.
    const outbound = this.#outbound;
    const deliveredBytes = outbound?.isHeld === true ? outbound.deliveredBytes : framed.length;
    const listening = listeningOf(this.#stream.writableLength, limits, deliveredBytes);
    if (listening === 'prompt') return true;
    if (listening === 'deaf') {
      this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return false;
    }
    this.#outbound ??= new Outbound(this.#stream, limits.outboundHeldFromBytes, {
      continueDelivery: () => this.#drained(),
      continueReading: () => this.#readOn(),
    });
    // The server stops reading requests, so that answers do not pile up: answers and deliveries look the same here.
    if (this.#call instanceof StreamCall) {
      this.#stream.pause();
      this.#outbound.stall();
    }
    this.#outbound.hold(this.#outbound.isHeld ? 0 : framed.length);
    return false;
  }

  end(error?: EverywireError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#outbound?.end();
    this.#deadline?.cancel();
    this.#trailers = trailersOf(error);
    this.#stream.end();
    // Discards further input.
    if (!this.#stream.readableEnded) this.#stream.resume();
  }

  goAway(retryAfterMs: number): void {
    if (!(this.#call instanceof UnaryCall)) this.#call?.goAway(retryAfterMs);
  }

  #read(chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#reader.push(chunk);
    try {
      for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
        this.#requests += 1;
        this.#receive(message);
        if (this.#isOver()) return;
      }
    } catch (caught) {
      this.#fail(toEverywireError(caught));
    }
  }

  #receive(message: Buffer): void {
    if (this.#call instanceof StreamCall) {
      this.#call.receive(decoded(StreamRequestSchema, message));
    } else if (this.#call instanceof UnaryCall) {
      this.#call.receive(message);
    } else if (this.#requests === 1) {
      if (this.#isDeadlineOurs) this.#deadline?.cancel();
      void this.#call?.start(decoded(SubscribeRequestSchema, message));
    } else {
      throw oneRequest();
    }
  }

  #peerEnded(): void {
    // Node ends the readable side also after a reset or a broken connection.
    const { aborted, closed, destroyed } = this.#stream;
    if (this.#hasEnded || aborted || closed || destroyed) return;
    if (this.#reader.isWithinMessage)
      this.#fail(new EverywireError('internal', 'The call ended within a message.'));
    else if (!(this.#call instanceof SubscribeCall)) void this.#call?.halfClosed();
    else if (this.#requests === 0) this.#fail(oneRequest());
  }

  #endAfter(timeoutMs: number): void {
    this.#deadline = this.#host.clock.after(timeoutMs, () =>
      this.#fail(new EverywireError('timed_out', 'The deadline of the call has passed.')),
    );
  }

  #sendTrailers(): void {
    this.#stream.sendTrailers(this.#trailers);
    if (this.#stream.readableEnded) return;
    // Resets the stream if the peer still sends (RFC 9113 §8.1). Not at once: the reset could overtake the trailers if the
    // peer reads slowly.
    this.#closing = this.#host.clock.after(this.#host.limits.closeTimeoutMs, () =>
      this.#stream.close(constants.NGHTTP2_NO_ERROR),
    );
  }

  #fail(error: EverywireError): void {
    this.#leave();
    this.end(error);
  }

  /** A unary call still completes its work, but without an answer. */
  #leave(): void {
    if (!(this.#call instanceof UnaryCall)) this.#call?.ended();
  }

  #isOver(): boolean {
    return this.#hasEnded;
  }

  #pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#readOn();
  }

  #drained(): void {
    if (!(this.#call instanceof UnaryCall)) this.#call?.drained();
  }

  #readOn(): void {
    if (!this.#isPaused && this.#outbound?.isStalled !== true) this.#stream.resume();
  }

  #closed(): void {
    this.#deadline?.cancel();
    this.#closing?.cancel();
    this.#hasEnded = true;
    this.#outbound?.end();
    this.#leave();
    this.#forget(this);
  }
}
