import { asRecord, parseExactly, shapeOfType } from '@everywire/protocol';
import {
  connectPacket,
  eventPacket,
  IoFault,
  packets,
  parseServerIoPacket,
  parseServerPacket,
  placeholderItem,
  placeholderOf,
  valueOfItem,
  type ServerIoPacket,
} from '@everywire/wires/socketio';
import { isUtf8 } from 'node:buffer';
import { refuseManualAcks } from '../acks.ts';
import { Cut, Refused, Unsendable } from '../errors.ts';
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
import { openLink, type WebSocketLink } from '../websocket/link.ts';

type Fields = Readonly<Record<string, unknown>>;

const path = '/socket.io/?EIO=4&transport=websocket';
const ioNamespace = '/';
/** Limits of this reader, above the limits of the server. */
const ioLimits = { attachmentsMax: 100, jsonDepthMax: 10_000, nameBytesMax: 4_096 };
/** Added to the ping interval of the server, which its handshake announces. */
const pingGraceMs = 20_000;

/** Opens the namespace `/` by WebSocket (Engine.IO 4, Socket.IO 5); resolves after the answer to CONNECT. */
export const openSocketIo: OpenSession = async (target, sockets) => {
  const link = await openLink(target, sockets, { path, speaks: 'Socket.IO', idleMs: pingGraceMs });
  const session = new SocketIoSession(link, target.token);
  await session.connected;
  return session;
};

class SocketIoSession implements Session {
  readonly connected: Promise<undefined>;
  readonly #link: WebSocketLink;
  readonly #token: string | undefined;
  readonly #isConnected = Promise.withResolvers<undefined>();
  readonly #asked = new PendingAnswers<number, Fields>();
  readonly #follows = new Follows();
  #lastId = 0;
  /** A packet that waits for its attachments. */
  #partial: { readonly packet: ServerIoPacket; readonly attachments: Buffer[] } | undefined;
  #ended: Error | undefined;

  constructor(link: WebSocketLink, token: string | undefined) {
    this.#link = link;
    this.#token = token;
    this.connected = this.#isConnected.promise;
    void this.#read();
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Publishes with the event `publish`; the acknowledgement comes once the message is stored. */
  async publish(channel: string, publication: Publication): Promise<string> {
    const { type, headers, event, key, retain, ttl } = publication;
    const { item, attachment } = dataOf(publication);
    const options = {
      type,
      event,
      key,
      ...(retain === true ? { retain } : {}),
      ttl,
      ...(headers === undefined || headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }),
    };
    const items = [JSON.stringify(channel), item, JSON.stringify(options)];
    return receiptLine(channel, await this.#ask('publish', items, attachment));
  }

  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    refuseManualAcks(options, 'socketio');
    const { after, since } = options;
    const queue = this.#follows.begin(channel);
    try {
      const { cursor, gap } = await this.#ask('subscribe', [
        JSON.stringify(channel),
        JSON.stringify({ after, since }),
      ]);
      yield { kind: 'open' };
      if (gap !== undefined) {
        const next = asRecord(gap)?.['cursor'];
        yield {
          kind: 'gap',
          cursor: typeof next === 'string' ? next : undefined,
          text: JSON.stringify(gap),
        };
      } else if (typeof cursor === 'string') {
        yield { kind: 'position', cursor };
      }
      yield* queue;
    } finally {
      if (this.#follows.finish(queue)) this.#emit('unsubscribe', [JSON.stringify(channel)]);
    }
  }

  close(): void {
    this.#end(new Cut('this side closed the connection'));
    this.#link.close();
  }

  #ask(event: string, items: readonly string[], attachment?: Buffer): Promise<Fields> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = (this.#lastId += 1);
    const answer = this.#asked.wait(id);
    this.#emit(event, items, { id, attachment });
    return answer;
  }

  #emit(
    event: string,
    items: readonly string[],
    { id, attachment }: { readonly id?: number; readonly attachment?: Buffer | undefined } = {},
  ): void {
    const attachments = attachment === undefined ? 0 : 1;
    const packet = eventPacket(ioNamespace, [JSON.stringify(event), ...items], { id, attachments });
    this.#link.send(packets.message + packet);
    if (attachment !== undefined) this.#link.send(attachment);
  }

  async #read(): Promise<void> {
    try {
      for await (const { kind, payload } of this.#link.messages()) {
        if (kind === 'text') this.#takeText(payload.toString());
        else this.#takeBinary(Buffer.from(payload));
      }
    } catch (error) {
      this.#end(error as Error);
      this.#link.close();
    }
  }

  #takeText(text: string): void {
    const packet = parseServerPacket(text);
    switch (packet?.kind) {
      case 'open':
        this.#link.expectBytesWithin(packet.handshake.pingIntervalMs + pingGraceMs);
        // JSON leaves out a member without a value.
        this.#link.send(packets.message + connectPacket(ioNamespace, { token: this.#token }));
        break;
      case 'ping':
        this.#link.send(packets.pong);
        break;
      case 'message':
        if (typeof packet.data === 'string') this.#takePacket(packet.data);
        break;
      case 'close':
      case 'noop':
      case 'probed':
      case undefined:
        break;
    }
  }

  #takePacket(text: string): void {
    const packet = parseServerIoPacket(text, ioLimits);
    if (packet instanceof IoFault) throw new Refused(`that is not Socket.IO: ${packet.detail}`);
    switch (packet.kind) {
      case 'connect':
        this.#isConnected.resolve(undefined);
        break;
      case 'connectError':
        throw refusalOf(asRecord(JSON.parse(packet.auth ?? 'null')));
      case 'disconnect':
        throw new Cut('the server ended the connection');
      case 'event':
      case 'ack':
        if (packet.attachments > 0) this.#partial = { packet, attachments: [] };
        else this.#take(packet, []);
    }
  }

  #takeBinary(bytes: Buffer): void {
    if (this.#partial === undefined) return;
    const { packet, attachments } = this.#partial;
    if (attachments.push(bytes) < packet.attachments) return;
    this.#partial = undefined;
    this.#take(packet, attachments);
  }

  #take({ kind, id, items }: ServerIoPacket, attachments: readonly Buffer[]): void {
    if (kind === 'event') {
      const [name = 'null', ...rest] = items;
      this.#deliver(JSON.parse(name), rest, attachments);
    } else if (id !== undefined) {
      const answer = this.#asked.take(id);
      const told = asRecord(valueOfItem(items[0] ?? 'null', attachments));
      if (told?.['ok'] === true) answer?.resolve(told);
      else answer?.reject(refusalOf(asRecord(told?.['error'])));
    }
  }

  /** The last argument of an event from the log is its cursor. */
  #deliver(name: unknown, items: readonly string[], attachments: readonly Buffer[]): void {
    const cursor: unknown = JSON.parse(items.at(-1) ?? 'null');
    if (typeof cursor !== 'string') return;
    const [first = 'null', meta] = items;
    if (items.length === 2 && name === 'everywire.gap') {
      this.#follows.deliver(channelOf(first), { kind: 'gap', cursor, text: first });
    }
    if (items.length !== 3 || !meta!.startsWith('{')) return;
    // JSON is passed on unchanged: to parse it would change large numbers of the publisher.
    const num = attachments.length === 0 ? undefined : placeholderOf(JSON.parse(first));
    const member =
      typeof num === 'number' ? `"base64":"${attachments[num]!.toString('base64')}"` : `"data":${first}`;
    const text = `${meta!.slice(0, -1)},${member}}`;
    this.#follows.deliver(channelOf(meta!), { kind: 'message', cursor, text });
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#isConnected.reject(this.#ended);
    this.#asked.end(this.#ended);
    this.#follows.end(this.#ended);
  }
}

function channelOf(item: string): string {
  const channel = asRecord(JSON.parse(item))?.['channel'];
  return typeof channel === 'string' ? channel : '';
}

/** JSON unchanged, text as a string, and other data as an attachment. */
function dataOf({ payload, type }: Publication): {
  readonly item: string;
  readonly attachment?: Buffer;
} {
  const shape = isUtf8(payload) ? shapeOfType(type) : 'binary';
  if (shape === 'binary') return { item: placeholderItem(0), attachment: payload };
  if (shape === 'text') return { item: JSON.stringify(payload.toString()) };
  try {
    return { item: JSON.stringify(parseExactly(payload.toString())) };
  } catch (cause) {
    throw new Unsendable('The data is not JSON, although its type says so.', { cause });
  }
}

/** The refusal in a CONNECT_ERROR or in an answer that is not ok. */
function refusalOf(told: Fields | undefined): Refused {
  const { code, message } = { ...told, ...asRecord(told?.['data']) } as Fields;
  const words = typeof message === 'string' ? message : 'no reason was given';
  const name = typeof code === 'string' ? code : undefined;
  return new Refused(name === undefined || words.startsWith(name) ? words : `${name}: ${words}`, {
    code: name,
  });
}
