import { payloadMember, writeEnvelope } from '@everywire/protocol';
import {
  encodeFrame,
  FrameReader,
  isReserved,
  readError,
  type Frame,
  type Headers,
} from '@everywire/wires/stomp';
import { openByteStream, type ByteStream } from '../byte-stream.ts';
import { Cut, Refused, toRefused } from '../errors.ts';
import { PendingAnswers } from '../pending-answers.ts';
import { Queue } from '../queue.ts';
import {
  receiptLine,
  type Arrival,
  type FollowOptions,
  type OpenSession,
  type Publication,
  type Session,
} from '../session.ts';
import type { Target } from '../target.ts';

const mib = 1024 * 1024;
/** Limits of this reader, above the limits of the server. */
const bounds = {
  headBytesMax: mib,
  headersMax: 1_000,
  lineBytesMax: mib,
  commandBytesMax: 64,
  bodyBytesMax: 16 * mib,
};
/** The heart-beat interval that the client asks for: that of HTTP's streams. */
const beatEveryMs = 15_000;
/** With this prefix, a channel is a destination with only one meaning. */
const prefix = '/channels/';

/** Opens STOMP 1.2; resolves with CONNECTED. */
export const openStomp: OpenSession = async (target, sockets) => {
  const stream = await openByteStream(target, sockets, {
    path: '/stomp',
    protocol: 'v12.stomp',
    idleMs: 3 * beatEveryMs,
  });
  const session = new StompSession(stream);
  await session.connect(target);
  return session;
};

class StompSession implements Session {
  readonly #stream: ByteStream;
  readonly #reader = new FrameReader(bounds);
  readonly #connected = Promise.withResolvers<undefined>();
  readonly #receipts = new PendingAnswers<string, Frame>();
  readonly #queues = new Map<string, Queue<Arrival>>();
  /** The subscriptions that acknowledge manually. */
  readonly #manual = new Set<string>();
  #last = 0;
  #ended: Error | undefined;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  async connect({ host, token }: Target): Promise<void> {
    this.#send('CONNECT', [
      ['accept-version', '1.2'],
      ['host', host],
      ['heart-beat', `0,${beatEveryMs}`],
      ...(token === undefined ? [] : [['passcode', token] as const]),
    ]);
    void this.#read();
    await this.#connected.promise;
  }

  /** Publishes with SEND; the RECEIPT comes once the message is stored. */
  async publish(channel: string, publication: Publication): Promise<string> {
    const { payload, type, headers = [], event, key, retain, ttl } = publication;
    const { headers: told } = await this.#ask(
      'SEND',
      [
        ['destination', prefix + channel],
        ['content-type', type],
        ['content-length', String(payload.length)],
        ...(event === undefined ? [] : [['event', event] as const]),
        ...(key === undefined ? [] : [['key', key] as const]),
        ...(retain === true ? [['retain', 'true'] as const] : []),
        ...(ttl === undefined ? [] : [['ttl', ttl] as const]),
        ...headers,
      ],
      payload,
    );
    const offset = told.get('offset');
    return receiptLine(channel, {
      offset: offset === undefined ? undefined : Number(offset),
      cursor: told.get('cursor'),
      id: told.get('everywire-id'),
      duplicate: told.get('duplicate') === 'true' ? true : undefined,
    });
  }

  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    const id = String((this.#last += 1));
    const queue = new Queue<Arrival>();
    this.#queues.set(id, queue);
    if (options.acks === 'manual') this.#manual.add(id);
    try {
      const { headers } = await this.#ask('SUBSCRIBE', [
        ['id', id],
        ['destination', prefix + channel],
        ['ack', options.acks === 'manual' ? 'client-individual' : 'auto'],
        ...startHeaders(options),
      ]);
      yield { kind: 'open' };
      const cursor = headers.get('cursor');
      if (cursor !== undefined) yield { kind: 'position', cursor };
      yield* queue;
    } finally {
      this.#queues.delete(id);
      this.#manual.delete(id);
      if (this.#ended === undefined) this.#send('UNSUBSCRIBE', [['id', id]]);
    }
  }

  close(): void {
    this.#end(new Cut('this side closed the connection'));
    this.#stream.close();
  }

  #send(command: string, headers: Headers, body?: Buffer): void {
    this.#stream.write(encodeFrame(command, headers, '1.2', body));
  }

  #ask(command: string, headers: Headers, body?: Buffer): Promise<Frame> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const receipt = `r${(this.#last += 1)}`;
    const answer = this.#receipts.wait(receipt);
    this.#send(command, [['receipt', receipt], ...headers], body);
    return answer;
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#stream.chunks()) {
        this.#reader.push(chunk);
        for (let one = this.#reader.next(); one !== undefined; one = this.#reader.next()) {
          if (one.kind === 'fault') throw new Refused(`that is not STOMP: ${one.detail}`);
          this.#take(one.frame);
        }
      }
    } catch (error) {
      this.#end(error as Error);
      this.#stream.close();
    }
  }

  #take(frame: Frame): void {
    const { command, headers } = frame;
    if (command === 'ERROR') throw refusalOf(frame);
    if (this.#reader.version === undefined) {
      if (command !== 'CONNECTED') throw new Refused(`CONNECT was answered ${command}`);
      this.#reader.version = '1.2';
      this.#connected.resolve(undefined);
    } else if (command === 'RECEIPT') {
      this.#receipts.take(headers.get('receipt-id') ?? '')?.resolve(frame);
    } else if (command === 'MESSAGE') {
      this.#deliver(frame);
    }
  }

  #deliver(frame: Frame): void {
    const subscription = frame.headers.get('subscription') ?? '';
    const queue = this.#queues.get(subscription);
    if (queue === undefined) return;
    // A gap comes with the first message after it.
    for (const gap of gapsOf(frame)) queue.push(gap);
    const id = frame.headers.get('ack');
    const ack =
      this.#manual.has(subscription) && id !== undefined
        ? (): void => this.#send('ACK', [['id', id]])
        : undefined;
    queue.push(toMessage(frame, ack));
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#connected.reject(this.#ended);
    this.#receipts.end(this.#ended);
    for (const queue of this.#queues.values()) queue.end(this.#ended);
  }
}

function startHeaders({ after, since }: FollowOptions): readonly (readonly [string, string])[] {
  if (after !== undefined) return [['after', after]];
  return since === undefined ? [] : [['since', since]];
}

/** The header `message` of our ERROR is a code of the error table. */
function refusalOf(frame: Frame): Refused {
  const { message: code, detail: message, retryAfterMs } = readError(frame);
  return toRefused({ code, message, retryAfterMs });
}

function gapsOf({ headers }: Frame): readonly Arrival[] {
  const told = headers.get('everywire-gap');
  if (told === undefined) return [];
  const gaps = JSON.parse(told) as readonly { readonly cursor?: string }[];
  return gaps.map((gap) => ({ kind: 'gap', cursor: gap.cursor, text: JSON.stringify(gap) }));
}

function toMessage({ headers, body }: Frame, ack: (() => void) | undefined): Arrival {
  const destination = headers.get('destination');
  const cursor = headers.get('message-id');
  const offset = headers.get('offset');
  if (destination === undefined || cursor === undefined || offset === undefined) {
    throw new Refused('a MESSAGE lacks what Everywire says; is this an Everywire server?');
  }
  const type = headers.get('content-type') ?? 'application/octet-stream';
  const fields = {
    channel: destination.slice(prefix.length),
    offset: Number(offset),
    cursor,
    id: headers.get('everywire-id') ?? '',
    timeMs: Number(headers.get('timestamp')),
    type,
    event: headers.get('event'),
    from: headers.get('everywire-from'),
    headers: new Map([...headers].filter(([name]) => !isReserved(name))),
  };
  return { kind: 'message', cursor, text: writeEnvelope(fields, payloadMember(type, body)), ack };
}
