import { once, type EventEmitter } from 'node:events';
import type { Socket as TcpSocket } from 'node:net';
import type { Continuity, GapNotice } from '@everywire/protocol';
import { io, type Socket } from 'socket.io-client';
import {
  hearsItself,
  publishOver,
  Refused,
  type Addresses,
  type Answer,
  type DurableReader,
  type From,
  type Outgoing,
  type Publisher,
  type Received,
  type RefreshableReader,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

/** `socket.io-client`: the peer that everybody uses. */
interface Connection {
  readonly socket: Socket;
  readonly messages: Inbox<Received>;
  readonly goodbye: Promise<string>;
}

type Way = 'websocket' | 'polling';

/** What an acknowledgement says. */
interface Told extends Answer {
  readonly ok: boolean;
  readonly continuity: Continuity;
  readonly gap?: GapNotice;
  readonly error?: { readonly code: string };
}

interface OpenOptions {
  /** It comes back to the same socket when its connection is gone. */
  readonly comesBack?: boolean;
}

async function open(
  { url, token }: Addresses,
  way: Way,
  { comesBack = false }: OpenOptions = {},
): Promise<Connection> {
  const auth = token === undefined ? {} : { auth: { token } };
  const socket = io(url, { transports: [way], forceNew: true, reconnection: false, ...auth });
  const messages = new Inbox<Received>();
  const goodbye = Promise.withResolvers<string>();
  let code = '';
  socket.onAny((event: string, ...args: readonly unknown[]) => {
    if (event === 'everywire.error') code = (args[0] as { readonly code: string }).code;
    // `everywire.gap` and `everywire.error` have no more than two.
    if (args.length === 3) messages.push(receivedOf(args[0], args[1] as Meta));
  });
  socket.on('disconnect', (reason) => {
    if (comesBack) return;
    messages.end(new Error(`the server ended it: ${reason} ${code}`));
    goodbye.resolve(code === '' ? `ended: ${reason}` : `${code}: ${reason}`);
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve);
    // The connection broke before the namespace was entered.
    socket.on('disconnect', (reason) => reject(new Error(reason)));
    socket.on('connect_error', (cause) => {
      socket.disconnect();
      reject(refusedBy(cause));
    });
  });
  return { socket, messages, goodbye: goodbye.promise };
}

/** A refusal of the namespace has data; a refusal of the first request has none. */
function refusedBy(cause: Error & { readonly data?: { readonly code?: string } }): Error {
  const { data } = cause;
  return data?.code === undefined ? cause : new Refused(0, data.code, cause.message + JSON.stringify(data));
}

type Meta = Omit<Received, 'payload'>;

function receivedOf(data: unknown, meta: Meta): Received {
  const { channel, offset, cursor, type, event, headers } = meta;
  const isText = typeof data === 'string' && !/^application\/(.*\+)?json/.test(type);
  const payload = Buffer.isBuffer(data) ? data : Buffer.from(isText ? data : JSON.stringify(data));
  return { channel, offset, cursor, payload, type, event, headers };
}

async function ask(socket: Socket, event: string, ...args: readonly unknown[]): Promise<Told> {
  const told = await new Promise<Told>((resolve, reject) => {
    socket.once('disconnect', (reason) => reject(new Error(reason)));
    // Without a connection the library would keep the packet for the next one, but there is no next one.
    if (!socket.connected) reject(new Error('disconnected'));
    socket.emit(event, ...args, resolve);
  });
  if (told.ok) return told;
  throw new Refused(0, told.error!.code, JSON.stringify(told));
}

/** What the library has below, for breaking it as a network would. */
function tcpOf({ io: { engine } }: Socket): TcpSocket {
  const { ws } = engine.transport as unknown as { readonly ws: { readonly _socket: TcpSocket } };
  return ws._socket;
}

function dataOf({ payload, type }: Outgoing): unknown {
  const text = payload.toString();
  if (!Buffer.from(text).equals(payload) || type === 'application/octet-stream') return payload;
  return /^application\/(.*\+)?json/.test(type) ? (JSON.parse(text) as unknown) : text;
}

async function subscribe(socket: Socket, filter: string, from: From): Promise<Told> {
  try {
    return await ask(socket, 'subscribe', filter, from);
  } catch (error) {
    socket.disconnect();
    throw error;
  }
}

async function read(
  server: Addresses,
  way: Way,
  filter: string,
  from: From = {},
): Promise<RefreshableReader> {
  return readOn(await open(server, way), way, filter, from);
}

/** A session that its library recovers. */
async function readDurably(server: Addresses, way: Way, filter: string): Promise<DurableReader> {
  const connection = await open(server, way, { comesBack: true });
  const { socket } = connection;
  const reader = await readOn(connection, way, filter);
  return {
    ...reader,
    async comeBack() {
      const isBack = once(socket as unknown as EventEmitter, 'connect');
      socket.connect();
      await isBack;
      if (!socket.recovered) throw new Error('the session was not recovered');
      return this;
    },
  };
}

async function readOn(
  { socket, messages, goodbye }: Connection,
  way: Way,
  filter: string,
  from: From = {},
): Promise<RefreshableReader> {
  const told = await subscribe(socket, filter, from);
  let { cursor } = told;
  return {
    continuity: told.continuity,
    gap: told.gap,
    get cursor() {
      return cursor;
    },
    async next() {
      const message = await messages.next();
      ({ cursor } = message);
      return message;
    },
    async refresh(token) {
      await ask(socket, 'auth', token);
    },
    ...(way === 'polling'
      ? {}
      : { pause: () => void tcpOf(socket).pause(), resume: () => void tcpOf(socket).resume() }),
    close: () => void socket.disconnect(),
    cut: () => {
      if (way === 'polling') socket.io.engine.close();
      else tcpOf(socket).resetAndDestroy();
    },
    goodbye,
  };
}

async function connect(server: Addresses, way: Way): Promise<Publisher> {
  return publisherOn(await open(server, way));
}

function publisherOn({ socket }: Connection): Publisher {
  return {
    publish(channel, message) {
      const { type, event, headers, key } = message;
      return ask(socket, 'publish', channel, dataOf(message), { type, event, headers, key });
    },
    get isOpen() {
      return socket.connected;
    },
    close: () => void socket.disconnect(),
  };
}

function socketIoDriver(way: Way): TransportDriver {
  return {
    name: `socket.io ${way}`,
    transport: 'socketio',
    read: (server, filter, from) => read(server, way, filter, from),
    async readSeveral(server, filters) {
      const { socket } = await open(server, way);
      for (const filter of filters) await subscribe(socket, filter, {});
      return { close: () => void socket.disconnect() };
    },
    readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
    readRefreshably: (server, filter, from) => read(server, way, filter, from),
    readAcknowledging: {
      lacks: 'the server asks for no acknowledgement: a client comes back with its cursor',
    },
    readDurably: (server, filter) => readDurably(server, way, filter),
    async readAndPublish(server, filter) {
      const connection = await open(server, way);
      return Object.assign(await readOn(connection, way, filter), {
        publish: publisherOn(connection).publish,
      });
    },
    readOthers: hearsItself,
    connect: (server) => connect(server, way),
    publish: publishOver((server) => connect(server, way)),
    refusedPublisher: 'stays',
    goodbyeOfToken: /^unauthorized: /,
  };
}

export const socketIoWebSocketDriver = socketIoDriver('websocket');
export const socketIoPollingDriver = socketIoDriver('polling');
