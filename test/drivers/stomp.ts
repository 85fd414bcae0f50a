/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment, @typescript-eslint/no-misused-spread --
   the library declares plain options and headers as classes */
import { randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { Client, type IFrame, type IMessage, type StompHeaders } from '@stomp/stompjs';
import type { Continuity, GapNotice } from '@everywire/protocol';
import { WebSocket } from 'ws';
import {
  hearsItself,
  publishOver,
  Refused,
  type AcknowledgingReader,
  type Addresses,
  type DurableReader,
  type Outgoing,
  type Publisher,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

/** A connection of `@stomp/stompjs`: another project's implementation of STOMP 1.2. */
interface Connection {
  readonly client: Client;
  readonly messages: Inbox<IMessage>;
  /** Frames that answer; an ERROR, or the end, is thrown in their place. */
  readonly receipts: Inbox<IFrame>;
  readonly goodbye: Promise<string>;
  readonly socket: () => Socket;
}

type Link = 'TCP' | 'WebSocket';

/** As much of a WebSocket as the library uses, on TCP; its own documentation shows how. */
class TcpAsWebSocket {
  readonly socket: Socket;
  readonly url: string;
  binaryType = 'arraybuffer';
  protocol = 'v12.stomp';
  readyState = 0;
  onopen: (() => void) | undefined;
  onmessage: ((event: { readonly data: ArrayBuffer }) => void) | undefined;
  onerror: ((event: { readonly error: Error }) => void) | undefined;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.url = url;
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket.on('connect', () => {
      this.readyState = 1;
      this.onopen?.();
    });
    this.socket.on('data', (bytes: Buffer) => {
      const data = new Uint8Array(bytes).buffer;
      this.onmessage?.({ data });
    });
    this.socket.on('error', (error) => this.onerror?.({ error }));
    this.socket.on('close', () => {
      this.readyState = 3;
      this.onclose?.({ code: 1006, reason: 'the TCP connection is closed' });
    });
  }

  send(data: string | ArrayBuffer): void {
    this.socket.write(typeof data === 'string' ? data : new Uint8Array(data));
  }

  close(): void {
    this.readyState = 2;
    this.socket.end();
  }
}

const receiptOf = (what: string): StompHeaders => ({ receipt: what });

async function open(server: Addresses, link: Link, clientId?: string): Promise<Connection> {
  let tcp: TcpAsWebSocket | undefined;
  let webSocket: WebSocket | undefined;
  const messages = new Inbox<IMessage>();
  const receipts = new Inbox<IFrame>();
  const connected = Promise.withResolvers<undefined>();
  const goodbye = Promise.withResolvers<string>();
  let said = 'ended';
  const client = new Client({
    webSocketFactory: () => {
      if (link === 'TCP') return (tcp = new TcpAsWebSocket(server.stomp!));
      webSocket = new WebSocket(`${server.url.replace('http', 'ws')}/stomp`, ['v12.stomp'], {
        perMessageDeflate: false,
      });
      return webSocket;
    },
    connectHeaders: {
      ...(server.token === undefined ? {} : { passcode: server.token }),
      ...(clientId === undefined ? {} : { 'client-id': clientId }),
    },
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    onConnect: () => connected.resolve(undefined),
    onUnhandledReceipt: (frame) => receipts.push(frame),
    onStompError: ({ headers, body }) => {
      said = headers['message']!;
      const refusal = new Refused(0, said, `${JSON.stringify(headers)} ${body}`);
      connected.reject(refusal);
      receipts.end(refusal);
      messages.end(refusal);
    },
    onWebSocketClose: () => {
      connected.reject(new Error(`the server closed: ${said}`));
      receipts.end(new Error(`the server closed: ${said}`));
      messages.end(new Error(`the server closed: ${said}`));
      goodbye.resolve(said);
    },
  });
  client.activate();
  try {
    await connected.promise;
  } catch (error) {
    void client.deactivate({ force: true });
    throw error;
  }
  const socket = () => tcp?.socket ?? (webSocket as unknown as { readonly _socket: Socket })._socket;
  return { client, messages, receipts, goodbye: goodbye.promise, socket };
}

const prefix = '/channels/';

/** STOMP's own headers, and those that the server puts in. */
const own: ReadonlySet<string> = new Set([
  'subscription',
  'destination',
  'message-id',
  'content-type',
  'content-length',
  'offset',
  'timestamp',
  'event',
]);

function receivedOf({ headers, binaryBody }: IMessage): Received {
  const others = Object.entries(headers).filter(([name]) => !own.has(name) && !name.startsWith('everywire-'));
  return {
    channel: headers['destination']!.slice(prefix.length),
    offset: Number(headers['offset']),
    cursor: headers['message-id']!,
    payload: Buffer.from(binaryBody),
    type: headers['content-type']!,
    event: headers['event'],
    headers: others.length === 0 ? undefined : Object.fromEntries(others),
  };
}

async function readOn(connection: Connection, filter: string, options: StompHeaders = {}): Promise<Reader> {
  const { client, messages, receipts, goodbye, socket } = connection;
  const headers = { id: 'sub-0', ...options, ...receiptOf('subscribed') };
  client.subscribe(prefix + filter, (message) => messages.push(message), headers);
  const { headers: told } = await receipts.next();
  const gaps = told['everywire-gap'];
  let cursor = told['cursor']!;
  return {
    continuity: told['continuity'] as Continuity,
    gap: gaps === undefined ? undefined : (JSON.parse(gaps) as readonly GapNotice[])[0],
    get cursor() {
      return cursor;
    },
    async next() {
      const message = receivedOf(await messages.next());
      ({ cursor } = message);
      return message;
    },
    pause: () => void socket().pause(),
    resume: () => void socket().resume(),
    close: () => void client.deactivate(),
    cut: () => void socket().resetAndDestroy(),
    goodbye,
  };
}

const durable: StompHeaders = { durable: 'true' };

/** A durable subscription of a client that acknowledges each message. */
async function readAcknowledging(
  server: Addresses,
  link: Link,
  filter: string,
  clientId: string,
): Promise<AcknowledgingReader> {
  const connection = await open(server, link, clientId);
  const reader = await readOn(connection, filter, { ...durable, ack: 'client-individual' });
  let last: IMessage;
  return {
    ...reader,
    async next() {
      last = await connection.messages.next();
      return { ...receivedOf(last), isRepeated: last.headers['redelivered'] === 'true' };
    },
    async ack() {
      last.ack(receiptOf('acknowledged'));
      await connection.receipts.next();
    },
    abandon() {
      reader.cut();
      return readAcknowledging(server, link, filter, clientId);
    },
  };
}

/** The same with an acknowledgement for each message that its program takes. */
async function readDurably(
  server: Addresses,
  link: Link,
  filter: string,
  clientId: string,
): Promise<DurableReader> {
  const reader = await readAcknowledging(server, link, filter, clientId);
  return {
    ...reader,
    async next() {
      const message = await reader.next();
      await reader.ack();
      return message;
    },
    comeBack: () => readDurably(server, link, filter, clientId),
  };
}

function stompDriver(link: Link): TransportDriver {
  return {
    name: `stomp ${link}`,
    transport: 'stomp',
    read: async (server, filter, from = {}) => readOn(await open(server, link), filter, { ...from }),
    async readSeveral(server, filters) {
      const { client, receipts } = await open(server, link);
      try {
        for (const [at, filter] of filters.entries()) {
          client.subscribe(prefix + filter, () => undefined, { id: String(at), ...receiptOf('subscribed') });
          await receipts.next();
        }
      } catch (error) {
        void client.deactivate({ force: true });
        throw error;
      }
      return { close: () => void client.deactivate() };
    },
    readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
    readRefreshably: { lacks: 'the token is shown with CONNECT, which comes once' },
    readAcknowledging: (server, filter) => readAcknowledging(server, link, filter, randomUUID()),
    readDurably: (server, filter) => readDurably(server, link, filter, randomUUID()),
    async readAndPublish(server, filter) {
      const connection = await open(server, link);
      const { publish } = publisherOn(connection);
      return Object.assign(await readOn(connection, filter), { publish });
    },
    readOthers: hearsItself,
    connect: (server) => connectPublisher(server, link),
    publish: publishOver((server) => connectPublisher(server, link)),
    refusedPublisher: 'is closed',
    publishedTooFast: {
      reason: 'a refusal would end the connection: the server reads more slowly',
      is: 'is delayed',
    },
    goodbyeOfToken: /^unauthorized$/,
  };
}

async function connectPublisher(server: Addresses, link: Link): Promise<Publisher> {
  return publisherOn(await open(server, link));
}

function publisherOn({ client, receipts }: Connection): Publisher {
  return {
    async publish(channel, { payload, type, event, headers, key }: Outgoing) {
      if (!client.connected) throw new Error('the connection is closed');
      client.publish({
        destination: prefix + channel,
        binaryBody: payload,
        headers: {
          ...headers,
          'content-type': type,
          ...(event === undefined ? {} : { event }),
          ...(key === undefined ? {} : { key }),
          ...receiptOf('published'),
        },
      });
      const { headers: told } = await receipts.next();
      return {
        offset: Number(told['offset']),
        cursor: told['cursor']!,
        ...(told['duplicate'] === 'true' ? { duplicate: true } : {}),
      };
    },
    get isOpen() {
      return client.connected;
    },
    close: () => void client.deactivate({ force: true }),
  };
}

export const stompTcpDriver = stompDriver('TCP');
export const stompWebSocketDriver = stompDriver('WebSocket');
