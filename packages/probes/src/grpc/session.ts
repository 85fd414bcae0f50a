import { durationFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, type Client, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { parseDurationMs, payloadMember, writeEnvelope } from '@everywire/protocol';
import {
  Messaging,
  type Gap,
  type Message,
  type SubscribeResponse,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { ErrorInfoSchema } from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { refuseManualAcks } from '../acks.ts';
import { Cut, Refused, Unsendable } from '../errors.ts';
import {
  answerWithinMs,
  receiptLine,
  type Arrival,
  type FollowOptions,
  type OpenSession,
  type Publication,
  type Session,
} from '../session.ts';
import type { Tap } from '../tap.ts';
import { originOf, type Target } from '../target.ts';

/** The silence after which the client pings the server. */
const pingAfterMs = 30_000;

/** `Publish` and `Subscribe`, over one connection of HTTP/2. */
export const openGrpc: OpenSession = async (target, sockets) =>
  new GrpcSession(target, await sockets.connect(['h2']));

class GrpcSession implements Session {
  readonly #client: Client<typeof Messaging>;
  readonly #manager: Http2SessionManager;
  readonly #tap: Tap;
  readonly #closing = new AbortController();
  #isLost = false;

  constructor(target: Target, tap: Tap) {
    const baseUrl = originOf(target);
    this.#tap = tap;
    this.#manager = new Http2SessionManager(
      baseUrl,
      { pingIntervalMs: pingAfterMs },
      { createConnection: () => tap },
    );
    const { token } = target;
    const showToken: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set('Authorization', `Bearer ${token}`);
      return next(request);
    };
    this.#client = createClient(
      Messaging,
      createGrpcTransport({ baseUrl, sessionManager: this.#manager, interceptors: [showToken] }),
    );
  }

  get isEnded(): boolean {
    return this.#tap.destroyed || this.#closing.signal.aborted;
  }

  async publish(channel: string, publication: Publication): Promise<string> {
    const { payload, type, headers = [], event, key, retain = false, ttl } = publication;
    const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl);
    if (ttl !== undefined && ttlMs === undefined) {
      throw new Unsendable(`ttl is a length of time such as 60s or 5m, not ${ttl}.`, { isOption: true });
    }
    const request = {
      channel,
      data: payload,
      type,
      headers: Object.fromEntries(headers),
      event: event ?? '',
      key: key ?? '',
      retain,
      ...(ttlMs === undefined ? {} : { ttl: durationFromMs(ttlMs) }),
    };
    const { signal } = this.#closing;
    const published = await this.#client
      .publish(request, { timeoutMs: answerWithinMs, signal })
      .catch((caught: unknown) => {
        throw this.#explain(caught);
      });
    const { offset, cursor, id, time, duplicate } = published;
    return receiptLine(published.channel, {
      offset: Number(offset),
      cursor,
      id,
      time: time === undefined ? undefined : new Date(timestampMs(time)).toISOString(),
      duplicate: duplicate ? true : undefined,
    });
  }

  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    refuseManualAcks(options, 'grpc');
    const { after = '', since = '' } = options;
    const { signal } = this.#closing;
    try {
      const responses = this.#client.subscribe({ channels: [channel], after, since }, { signal });
      for await (const response of responses) yield* toArrivals(response);
    } catch (caught) {
      throw caught instanceof Cut ? caught : this.#explain(caught);
    }
  }

  close(): void {
    this.#closing.abort();
    if (!this.#isLost) {
      this.#manager.abort();
      this.#tap.finish(0);
      return;
    }
    // A peer that does not speak HTTP/2 is an error of the session, which comes later than that of the call. The manager
    // no longer listens to it after `abort`, and nothing else would keep it from ending the process.
    this.#tap.destroy();
    setImmediate(() => setImmediate(() => this.#manager.abort()));
  }

  #explain(caught: unknown): Error {
    if (this.#closing.signal.aborted) return new Cut('this side closed the connection');
    this.#isLost = true;
    const { errored, destroyed, readableEnded } = this.#tap;
    if (errored instanceof Cut) return errored;
    const isClosed = destroyed || readableEnded;
    if (isClosed && ConnectError.from(caught).code === Code.Canceled)
      return new Cut('the server closed the connection', { cause: caught });
    return explainGrpc(caught);
  }
}

/** Sorts an error for the caller: try again with the cursor, or tell the user. */
function explainGrpc(caught: unknown): Cut | Refused {
  const error = ConnectError.from(caught);
  const cause = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  const [info] = error.findDetails(ErrorInfoSchema);
  if (
    error.code === Code.Unavailable ||
    (error.code === Code.Aborted && info === undefined) ||
    cause !== undefined
  ) {
    return new Cut(`the connection was lost (${error.rawMessage})`, { cause: error });
  }
  const code = info?.reason.toLowerCase();
  return new Refused(code === undefined ? error.rawMessage : `${code}: ${error.rawMessage}`, {
    code,
    grpcStatus: error.code,
  });
}

function* toArrivals({ kind }: SubscribeResponse): Generator<Arrival, void, undefined> {
  switch (kind.case) {
    case 'subscribed':
      yield { kind: 'open' };
      // If it is not exact, a gap notice with the next cursor follows.
      if (kind.value.exact) yield { kind: 'position', cursor: kind.value.cursor };
      break;
    case 'message':
      yield { kind: 'message', cursor: kind.value.cursor, text: lineOf(kind.value) };
      break;
    case 'gap':
      yield { kind: 'gap', cursor: kind.value.cursor, text: gapLine(kind.value) };
      break;
    case 'goaway':
      throw new Cut('the server is stopping');
    case undefined:
      // An unknown answer of a newer server.
      break;
  }
}

function lineOf(message: Message): string {
  const { channel, offset, cursor, id, time, type, data, event, from, headers } = message;
  const fields = {
    channel,
    offset: Number(offset),
    cursor,
    id,
    timeMs: time === undefined ? 0 : timestampMs(time),
    type,
    event: event === '' ? undefined : event,
    from: from === '' ? undefined : from,
    headers: new Map(Object.entries(headers)),
  };
  return writeEnvelope(fields, payloadMember(type, data));
}

function gapLine({ channel, from, to, reason, cursor }: Gap): string {
  const range = to === 0n ? {} : { from: Number(from), to: Number(to) };
  return JSON.stringify({ channel, ...range, reason, cursor });
}
