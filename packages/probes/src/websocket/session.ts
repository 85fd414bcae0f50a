import { parseDurationMs, parseExactly } from '@everywire/protocol';
import {
  everywireProtocol,
  readFrame,
  writeCommand,
  type Accepted,
  type Command,
  type ServerFrame,
} from '@everywire/protocol/everywire-v1';
import { refuseManualAcks } from '../acks.ts';
import { Cut, toRefused, Unsendable } from '../errors.ts';
import { Follows } from '../follows.ts';
import { PendingAnswers } from '../pending-answers.ts';
import {
  receiptLine,
  type Arrival,
  type FollowOptions,
  type OpenSession,
  type Publication,
  type Session,
} from '../session.ts';
import { openLink, type WebSocketLink } from './link.ts';

/** A command whose id the session chooses. */
type CommandBody = Command extends infer One ? (One extends Command ? Omit<One, 'id'> : never) : never;

/** The answer to a ping shows that the server is there. */
const pingEveryMs = 20_000;
const path = '/ws';
const protocol = everywireProtocol;

/** Opens `/ws` with the subprotocol `everywire.v1` and the token in the handshake. */
export const openWebSocket: OpenSession = async (target, sockets) => {
  const { token } = target;
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return new CommandSession(await openLink(target, sockets, { path, protocol, headers, speaks: protocol }));
};

class CommandSession implements Session {
  readonly #link: WebSocketLink;
  readonly #asked = new PendingAnswers<number, Accepted>();
  readonly #follows = new Follows();
  readonly #pinging: NodeJS.Timeout;
  #lastId = 0;
  #isPinged = false;
  #ended: Error | undefined;

  constructor(link: WebSocketLink) {
    this.#link = link;
    this.#pinging = setInterval(() => this.#ping(), pingEveryMs);
    this.#pinging.unref();
    void this.#read();
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  async publish(channel: string, publication: Publication): Promise<string> {
    const { payload, type, headers, event, key, retain, ttl } = publication;
    const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl);
    if (ttl !== undefined && ttlMs === undefined) {
      throw new Unsendable(`ttl is a length of time such as 60s or 5m, not ${ttl}.`, { isOption: true });
    }
    const { offset, cursor, message, duplicate } = await this.#ask({
      op: 'publish',
      channel,
      publication: {
        payload: { kind: 'base64', base64: payload.toString('base64') },
        type,
        event,
        key,
        ...(retain === true ? { retain } : {}),
        ttlMs,
        ...(headers === undefined || headers.size === 0 ? {} : { headers }),
      },
    });
    return receiptLine(channel, { offset, cursor, id: message, duplicate });
  }

  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    refuseManualAcks(options, 'websocket');
    const { after, since } = options;
    const queue = this.#follows.begin(channel);
    try {
      const { cursor, gap } = await this.#ask({ op: 'subscribe', channel, after, since });
      yield { kind: 'open' };
      if (cursor !== undefined) yield { kind: 'position', cursor };
      // The first gap is in the answer, later ones are separate frames.
      if (gap !== undefined) yield { kind: 'gap', cursor: gap.cursor, text: JSON.stringify(gap) };
      yield* queue;
    } finally {
      if (this.#follows.finish(queue)) this.#send({ op: 'unsubscribe', channel });
    }
  }

  close(): void {
    this.#end(new Cut('this side closed the connection'));
    this.#link.close();
  }

  #ask(command: CommandBody): Promise<Accepted> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return this.#asked.wait(this.#send(command));
  }

  #send(command: CommandBody): number {
    this.#lastId += 1;
    this.#link.send(writeCommand({ id: String(this.#lastId), ...command }));
    return this.#lastId;
  }

  #ping(): void {
    if (this.#isPinged) {
      this.#end(new Cut(`nothing was heard for ${pingEveryMs / 1000} s`));
      this.#link.close();
      return;
    }
    this.#isPinged = true;
    // If the ping fails, the connection has failed, and all calls end anyway.
    this.#ask({ op: 'ping' }).then(
      () => (this.#isPinged = false),
      () => undefined,
    );
  }

  async #read(): Promise<void> {
    try {
      for await (const { kind, payload } of this.#link.messages()) {
        const frame = kind === 'text' ? readFrame(parseExactly(payload.toString())) : undefined;
        if (frame !== undefined) this.#take(frame);
      }
    } catch (error) {
      this.#end(error as Error);
      this.#link.close();
    }
  }

  #take(frame: ServerFrame): void {
    switch (frame.op) {
      case 'message': {
        const { envelope } = frame;
        const text = JSON.stringify(envelope);
        this.#follows.deliver(envelope.channel, { kind: 'message', cursor: envelope.cursor, text });
        break;
      }
      case 'gap': {
        const { notice } = frame;
        const text = JSON.stringify(notice);
        this.#follows.deliver(notice.channel, { kind: 'gap', cursor: notice.cursor, text });
        break;
      }
      case 'accepted':
        this.#answered(frame.id)?.resolve(frame);
        break;
      case 'refused':
        this.#answered(frame.id)?.reject(toRefused(frame.refusal));
        break;
      case 'ended':
        this.#follows.endOf(frame.channel, toRefused(frame.refusal));
        break;
      case 'goaway':
        // The close follows.
        break;
    }
  }

  #answered(id: string | number | undefined): PromiseWithResolvers<Accepted> | undefined {
    if (typeof id !== 'number') return undefined;
    return this.#asked.take(id);
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    clearInterval(this.#pinging);
    this.#asked.end(this.#ended);
    this.#follows.end(this.#ended);
  }
}
