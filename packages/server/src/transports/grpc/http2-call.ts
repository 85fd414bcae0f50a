import { fromBinary } from '@bufbuild/protobuf';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Timer } from '../../core/clock.ts';
import type { Host } from '../../core/transport.ts';
import { StreamRequestSchema, SubscribeRequestSchema } from './generated/everywire/v1/messaging_pb.js';
import type { Caller, Outlet } from './outlet.ts';
import { parseTimeoutMs, trailersOf } from './status.ts';
import { StreamCall } from './stream-call.ts';
import { SubscribeCall } from './subscribe-call.ts';
import { MessageReader } from './wire/frames.ts';

/** What a request message may be beyond its payload: names, headers, and the framing of fields. */
const requestRoomBytes = 32 * 1024;
const nothing = Buffer.alloc(0);
const okHead = { ':status': 200, 'content-type': 'application/grpc+proto' } as const;

/** Paths that are answered here, without a library between the bytes and the socket. */
export const streamingPaths = {
  subscribe: '/everywire.v1.Messaging/Subscribe',
  stream: '/everywire.v1.Messaging/Stream',
} as const;

/** Deadline, encodings and token of a call, judged before it begins. */
export interface CallHead {
  readonly caller: Caller;
  readonly timeoutMs: number | undefined;
}

const bearer = /^Bearer +([^\s]+)\s*$/i;

/** @throws EverywireError what the call is ended with */
export function readCallHead(headers: IncomingHttpHeaders, address: string | undefined): CallHead {
  const encoding = headers['grpc-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new EverywireError('unsupported', 'Messages are not compressed here: grpc-encoding is identity.');
  }
  const timeout = headers['grpc-timeout'] as string | undefined;
  const timeoutMs = timeout === undefined ? undefined : parseTimeoutMs(timeout);
  if (timeout !== undefined && timeoutMs === undefined)
    throw new EverywireError('internal', 'grpc-timeout is up to eight digits and a unit.');
  return { caller: { token: bearer.exec(headers.authorization ?? '')?.[1], address }, timeoutMs };
}

/** One streaming call on an HTTP/2 stream: frames in and out, back-pressure, deadline, trailers. */
export class Http2Call implements Outlet {
  readonly #stream: ServerHttp2Stream;
  readonly #host: Host;
  readonly #reader: MessageReader;
  readonly #call: SubscribeCall | StreamCall;
  readonly #forget: (call: Http2Call) => void;
  #deadline: Timer | undefined;
  #trailers: Record<string, string> = {};
  #requests = 0;
  #isHeld = false;
  #isDrainAwaited = false;
  #hasEnded = false;
  #isPaused = false;

  constructor(
    host: Host,
    stream: ServerHttp2Stream,
    options: {
      readonly path: string;
      readonly head: CallHead;
      readonly forget: (call: Http2Call) => void;
    },
  ) {
    this.#host = host;
    this.#stream = stream;
    this.#forget = options.forget;
    this.#reader = new MessageReader(host.limits.payloadBytesMax + requestRoomBytes);
    stream.respond(okHead, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers));
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('end', () => this.#peerEnded());
    stream.on('drain', () => this.#drained());
    stream.on('error', (error: Error) => host.log.debug({ err: error }, 'a gRPC stream broke'));
    stream.on('close', () => this.#closed());
    const { caller, timeoutMs } = options.head;
    if (timeoutMs !== undefined) {
      this.#deadline = host.clock.after(timeoutMs, () =>
        this.#fail(new EverywireError('timed_out', 'The deadline of the call has passed.')),
      );
    }
    if (options.path === streamingPaths.stream) {
      const call = new StreamCall(host, this, { pause: () => this.#pause(), resume: () => this.#resume() });
      this.#call = call;
      void call.start(caller);
    } else {
      this.#call = new SubscribeCall(host, caller, this);
    }
  }

  send(framed: Buffer): boolean {
    if (this.#hasEnded || this.#stream.destroyed) return true;
    this.#stream.write(framed);
    const { writableLength } = this.#stream;
    const { outboundHeldFromBytes, outboundBytesMax } = this.#host.limits;
    if (writableLength <= outboundHeldFromBytes) return true;
    if (writableLength > outboundBytesMax) {
      // Answers that nobody reads: the peer sends requests and takes nothing.
      this.#stream.destroy(undefined);
      return false;
    }
    this.#isHeld = true;
    // Its own answers must not pile up without end either.
    if (this.#call instanceof StreamCall) this.#stream.pause();
    this.#awaitDrain();
    return false;
  }

  end(error?: EverywireError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#deadline?.cancel();
    this.#trailers = trailersOf(error);
    this.#stream.end();
    // A peer that goes on sending is told to stop once it has the trailers (RFC 9113 §8.1).
    if (!this.#stream.readableEnded) this.#stream.resume();
  }

  goAway(retryAfterMs: number): void {
    this.#call.goAway(retryAfterMs);
  }

  destroy(): void {
    this.#stream.destroy();
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
      this.#call.receive(decode(() => fromBinary(StreamRequestSchema, message)));
    } else if (this.#requests === 1) {
      void this.#call.start(decode(() => fromBinary(SubscribeRequestSchema, message)));
    } else {
      throw new EverywireError('unsupported', 'Subscribe takes one request.');
    }
  }

  #peerEnded(): void {
    if (this.#hasEnded) return;
    if (this.#reader.isWithinMessage)
      this.#fail(new EverywireError('internal', 'The call ended within a message.'));
    else if (this.#call instanceof StreamCall) this.#call.halfClosed();
    else if (this.#requests === 0)
      this.#fail(new EverywireError('unsupported', 'Subscribe takes one request.'));
  }

  #fail(error: EverywireError): void {
    this.#call.ended('lost');
    this.end(error);
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
    if (!this.#isHeld) this.#stream.resume();
  }

  /** Node tells of a drain only above its own mark; below it the callback of an empty write does. */
  #awaitDrain(): void {
    if (this.#stream.writableNeedDrain || this.#isDrainAwaited) return;
    this.#isDrainAwaited = true;
    this.#stream.write(nothing, () => {
      this.#isDrainAwaited = false;
      this.#drained();
    });
  }

  #drained(): void {
    if (!this.#isHeld || this.#hasEnded) return;
    if (this.#stream.writableLength > this.#host.limits.outboundHeldFromBytes) {
      this.#awaitDrain();
      return;
    }
    this.#isHeld = false;
    this.#call.drained();
    if (!this.#isPaused) this.#stream.resume();
  }

  #closed(): void {
    this.#deadline?.cancel();
    this.#hasEnded = true;
    this.#call.ended('lost');
    this.#forget(this);
  }
}

/** gRPC has INTERNAL for bytes that are not the message they should be. */
function decode<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new EverywireError('internal', 'A message is not the protobuf that it should be.', { cause });
  }
}
