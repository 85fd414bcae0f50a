import type { IncomingMessage } from 'node:http';
import { refuseManualAcks } from '../acks.ts';
import { Cut } from '../errors.ts';
import {
  answerWithinMs,
  type Arrival,
  type FollowOptions,
  type OpenSession,
  type Publication,
  type Session,
} from '../session.ts';
import type { Sockets } from '../sockets.ts';
import { encodeChannel, type Target, type Wire } from '../target.ts';
import { readByLongPolling, readByPolling } from './poll.ts';
import type { Exchange, HttpReader } from './exchange.ts';
import { readWhole, send, type Request } from './request.ts';
import { readBySse } from './sse.ts';
import { readByStream } from './stream.ts';

const readers: ReadonlyMap<Wire, HttpReader> = new Map<Wire, HttpReader>([
  ['poll', readByPolling],
  ['longpoll', readByLongPolling],
  ['stream', readByStream],
  ['sse', readBySse],
]);

/** HTTP opens a connection only with a request. */
export const openHttp: OpenSession = async (target, sockets) => new HttpSession(target, sockets);

class HttpSession implements Session, Exchange {
  readonly #target: Target;
  readonly #sockets: Sockets;
  readonly #closing = new AbortController();

  constructor(target: Target, sockets: Sockets) {
    this.#target = target;
    this.#sockets = sockets;
  }

  get isEnded(): boolean {
    return this.#closing.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  async send(request: Request): Promise<IncomingMessage> {
    if (this.isEnded) throw new Cut('this side closed the connection');
    const answer = await send(this.#target, this.#sockets, request);
    const end = (): void => void answer.destroy(new Cut('this side closed the connection'));
    this.signal.addEventListener('abort', end, { once: true });
    answer.once('close', () => this.signal.removeEventListener('abort', end));
    return answer;
  }

  /** Publishes by `POST`, for all wires that use HTTP to publish. */
  async publish(channel: string, publication: Publication): Promise<string> {
    const { payload, type, headers = new Map<string, string>(), event, key, retain, ttl } = publication;
    const answer = await this.send({
      method: 'POST',
      path: `/channels/${encodeChannel(channel)}`,
      headers: {
        'Content-Type': type,
        ...(event === undefined ? {} : { 'Everywire-Event': event }),
        ...(key === undefined ? {} : { 'Idempotency-Key': key }),
        ...(retain === true ? { 'Everywire-Retain': 'true' } : {}),
        ...(ttl === undefined ? {} : { 'Everywire-TTL': ttl }),
        ...Object.fromEntries([...headers].map(([name, value]) => [`Everywire-Meta-${name}`, value])),
      },
      body: payload,
      idleMs: answerWithinMs,
    });
    return readWhole(answer);
  }

  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    refuseManualAcks(options, this.#target.wire);
    yield* readers.get(this.#target.wire)!(this, channel, options);
  }

  close(): void {
    this.#closing.abort();
  }
}
