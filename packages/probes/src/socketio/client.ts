import { parseIoPacket, valueOfItem, type IoPacket } from '@everywire/wires/socketio';
import { asRecord } from '@everywire/protocol';
import { Arrivals } from '../queue.ts';
import { endOf } from '../byte-stream.ts';
import { Cut, readWhole, Refused, send } from '../http/request.ts';
import { originOf, type Target } from '../target.ts';
import { dispatcherOf } from '../tls.ts';

/** An event of the server: the JSON texts of its arguments, as they came, and what is binary in them. */
export interface IoEvent {
  readonly name: unknown;
  readonly items: readonly string[];
  readonly attachments: readonly Buffer[];
}

/** A connection to the namespace `/`, by WebSocket (Engine.IO 4, Socket.IO 5). */
export interface SocketIoClient {
  /** Emits an event; what it is answered with, once. `attachment`: bytes for the argument `binary`. @throws Refused, Cut */
  ask(
    event: string,
    args: readonly unknown[],
    attachment?: Buffer,
  ): Promise<Readonly<Record<string, unknown>>>;
  /** @throws Refused, Cut */
  readonly events: AsyncIterable<IoEvent>;
  close(): void;
}

/** Stands for the attachment among the arguments. */
export const binary = { _placeholder: true, num: 0 };

const path = '/socket.io/?EIO=4&transport=websocket';
/** What a server may send is for the server to bound. */
const ioLimits = { attachmentsMax: 100, jsonDepthMax: 10_000, nameBytesMax: 4_096 };
/** Beyond the interval of the server's pings, which it tells. */
const pingGraceMs = 20_000;

/** @throws Unreachable, Refused, Cut, or the signal's reason */
export async function openSocketIo(target: Target, signal: AbortSignal): Promise<SocketIoClient> {
  const origin = originOf(target, target.isSecure ? 'wss' : 'ws');
  const socket = new WebSocket(origin + path, await dispatcherOf(target.certificate));
  socket.binaryType = 'arraybuffer';
  const connection = new Connection(socket, target.token);
  const giveUp = (): void => connection.end(new Cut('no time was left'));
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await connection.connected;
  } catch (error) {
    socket.close();
    signal.throwIfAborted();
    if (connection.hasOpened) throw error;
    // Node's WebSocket does not tell why a handshake failed, so the server is asked by plain HTTP.
    await readWhole(await send(target, { path: '/livez', signal, idleMs: 10_000 }));
    throw new Refused(`${origin} answers, but not with Socket.IO at /socket.io/`, {});
  }
  return connection;
}

class Connection implements SocketIoClient {
  readonly events = new Arrivals<IoEvent>();
  readonly connected: Promise<unknown>;
  hasOpened = false;
  readonly #socket: WebSocket;
  readonly #token: string | undefined;
  readonly #isConnected = Promise.withResolvers<undefined>();
  readonly #asked = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>();
  #lastId = 0;
  #idleMs = pingGraceMs;
  #idle: NodeJS.Timeout | undefined;
  /** An event whose attachments are on their way. */
  #partial: { readonly packet: IoPacket; readonly attachments: Buffer[] } | undefined;

  constructor(socket: WebSocket, token: string | undefined) {
    this.#socket = socket;
    this.#token = token;
    this.connected = this.#isConnected.promise;
    socket.addEventListener('message', ({ data }: { readonly data: unknown }) => {
      this.#idle?.refresh();
      try {
        if (typeof data === 'string') this.#readText(data);
        else this.#readBinary(Buffer.from(data as ArrayBuffer));
      } catch (error) {
        this.end(error as Error);
        socket.close();
      }
    });
    socket.addEventListener('error', () => this.end(new Cut('the connection was lost')));
    socket.addEventListener('close', ({ code, reason }) => this.end(endOf(code, reason)));
  }

  ask(
    event: string,
    args: readonly unknown[],
    attachment?: Buffer,
  ): Promise<Readonly<Record<string, unknown>>> {
    const answer = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    const id = (this.#lastId += 1);
    this.#asked.set(id, answer);
    const type = attachment === undefined ? '42' : '451-';
    this.#socket.send(`${type}${id}${JSON.stringify([event, ...args])}`);
    if (attachment !== undefined) this.#socket.send(new Uint8Array(attachment));
    return answer.promise;
  }

  close(): void {
    clearTimeout(this.#idle);
    this.#socket.close();
  }

  end(reason: Error): void {
    clearTimeout(this.#idle);
    this.events.end(reason);
    this.#isConnected.reject(reason);
    for (const { reject } of this.#asked.values()) reject(reason);
    this.#asked.clear();
  }

  #readText(text: string): void {
    const [type] = text;
    if (type === '0') this.#readOpen(text.slice(1));
    else if (type === '2') this.#socket.send('3');
    else if (type === '4') this.#readMessage(text.slice(1));
  }

  /** Engine.IO's handshake tells how often the server pings. */
  #readOpen(text: string): void {
    this.hasOpened = true;
    const { pingInterval } = asRecord(JSON.parse(text)) ?? {};
    this.#idleMs = (typeof pingInterval === 'number' ? pingInterval : 25_000) + pingGraceMs;
    this.#idle = setTimeout(() => {
      this.end(new Cut(`nothing was heard for ${this.#idleMs / 1000} s`));
      this.#socket.close();
    }, this.#idleMs);
    // JSON leaves out a member without a value.
    this.#socket.send(`40${JSON.stringify({ token: this.#token })}`);
  }

  #readMessage(text: string): void {
    if (text.startsWith('0')) {
      this.#isConnected.resolve(undefined);
      return;
    }
    if (text.startsWith('4')) throw refusalOf(asRecord(JSON.parse(text.slice(1))));
    if (text.startsWith('1')) throw new Cut('the server ended the connection');
    const packet = parseIoPacket(text, ioLimits);
    if (!('items' in packet)) throw new Refused(`that is not Socket.IO: ${packet.detail}`, {});
    if (packet.attachments > 0) this.#partial = { packet, attachments: [] };
    else this.#take(packet, []);
  }

  #readBinary(bytes: Buffer): void {
    if (this.#partial === undefined) return;
    const { packet, attachments } = this.#partial;
    if (attachments.push(bytes) < packet.attachments) return;
    this.#partial = undefined;
    this.#take(packet, attachments);
  }

  #take({ kind, id, items }: IoPacket, attachments: readonly Buffer[]): void {
    if (kind === 'event') {
      const [name = 'null', ...rest] = items;
      this.events.push({ name: JSON.parse(name), items: rest, attachments });
    } else if (kind === 'ack' && id !== undefined) {
      const answer = this.#asked.get(id);
      this.#asked.delete(id);
      const told = asRecord(valueOfItem(items[0] ?? 'null', attachments));
      if (told?.['ok'] === true) answer?.resolve(told);
      else answer?.reject(refusalOf(asRecord(told?.['error'])));
    }
  }
}

/** What CONNECT_ERROR and answers that are not ok say. */
function refusalOf(told: Readonly<Record<string, unknown>> | undefined): Refused {
  const { code, message } = { ...told, ...asRecord(told?.['data']) } as Readonly<Record<string, unknown>>;
  const words = typeof message === 'string' ? message : 'no reason was given';
  const name = typeof code === 'string' ? code : undefined;
  return new Refused(name === undefined || words.startsWith(name) ? words : `${name}: ${words}`, {
    code: name,
  });
}
