import type { Socket as TcpSocket } from 'node:net';
import type { Continuity, GapNotice } from '@everywire/protocol';
import { io, type Socket } from 'socket.io-client';
import {
  Refused,
  type Addresses,
  type Answer,
  type Outgoing,
  type Received,
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

async function open({ url }: Addresses, way: Way): Promise<Connection> {
  const socket = io(url, { transports: [way], forceNew: true, reconnection: false });
  const messages = new Inbox<Received>();
  const goodbye = Promise.withResolvers<string>();
  socket.onAny((_event: string, ...args: readonly unknown[]) => {
    // `everywire.gap` and `everywire.error` have no more than two.
    if (args.length === 3) messages.push(receivedOf(args[0], args[1] as Meta));
  });
  socket.on('disconnect', (reason) => {
    messages.end(new Error(`the server ended it: ${reason}`));
    goodbye.resolve(`ended: ${reason}`);
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve);
    // The connection broke before the namespace was entered.
    socket.on('disconnect', (reason) => reject(new Error(reason)));
    socket.on('connect_error', (cause) => {
      socket.disconnect();
      reject(cause);
    });
  });
  return { socket, messages, goodbye: goodbye.promise };
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
    // Without a connection the library would keep it for the next one, which there is none of.
    if (!socket.connected) reject(new Error('disconnected'));
    socket.emit(event, ...args, resolve);
  });
  if (told.ok) return told;
  socket.disconnect();
  throw new Refused(0, told.error!.code);
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

function socketIoDriver(way: Way): TransportDriver {
  return {
    name: `socket.io ${way}`,
    async read(server, filter, from = {}) {
      const { socket, messages, goodbye } = await open(server, way);
      const told = await ask(socket, 'subscribe', filter, from);
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
    },
    async publish(server, channel, message) {
      const { socket } = await open(server, way);
      try {
        const { type, event, headers, key } = message;
        return await ask(socket, 'publish', channel, dataOf(message), { type, event, headers, key });
      } finally {
        socket.disconnect();
      }
    },
  };
}

export const socketIoWebSocketDriver = socketIoDriver('websocket');
export const socketIoPollingDriver = socketIoDriver('polling');
