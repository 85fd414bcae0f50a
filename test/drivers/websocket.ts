import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Continuity, Envelope, GapNotice } from '@everywire/protocol';
import { WebSocket } from 'ws';
import {
  bearer,
  hearsItself,
  keepsItsOwnPlace,
  publishOver,
  Refused,
  untold,
  type Addresses,
  type Answer,
  type From,
  type Outgoing,
  type Publisher,
  type Reader,
  type RefreshableReader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { fromEnvelope, pathOf, queryOf } from './envelopes.ts';
import { Inbox } from './inbox.ts';

const refreshId = 'refresh';

/** A client of the `ws` package: another project's implementation of RFC 6455. It keeps frames from the first byte on. */
interface Open {
  readonly socket: WebSocket;
  readonly response: IncomingMessage;
  readonly frames: Inbox<Frame>;
  /** Answers to `auth`, which come in between. */
  readonly refreshes: Inbox<Frame>;
  readonly goodbye: Promise<string>;
}

function open(server: Addresses, target: string, protocols: readonly string[]): Promise<Open> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(server.url.replace(/^http/, 'ws') + target, [...protocols], {
      perMessageDeflate: false,
      headers: bearer(server),
    });
    const frames = new Inbox<Frame>();
    const refreshes = new Inbox<Frame>();
    const goodbye = Promise.withResolvers<string>();
    let response: IncomingMessage;
    socket.on('upgrade', (upgraded) => (response = upgraded));
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame;
      (frame.id === refreshId ? refreshes : frames).push(frame);
    });
    socket.on('close', (code, reason) => {
      const closed = closedWith(code, reason.toString());
      frames.end(closed);
      refreshes.end(closed);
      goodbye.resolve(`${code} ${reason.toString()}`);
    });
    socket.on('open', () => resolve({ socket, response, frames, refreshes, goodbye: goodbye.promise }));
    socket.on('error', (cause) => {
      frames.end(cause);
      reject(cause);
    });
    socket.on('unexpected-response', (_request, refused) => {
      const chunks: Buffer[] = [];
      refused.on('data', (chunk: Buffer) => chunks.push(chunk));
      refused.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const status = refused.statusCode ?? 0;
        // What the parser of HTTP refuses has no body.
        const { code } = text === '' ? { code: String(status) } : (JSON.parse(text) as { code: string });
        reject(new Refused(status, code, text));
      });
    });
  });
}

/** A close reason begins with the code, if the refusal has no close code of the standard. */
function closedWith(status: number, reason: string): Error {
  const code = status === 1009 ? 'too_large' : /^([a-z_]+): /.exec(reason)?.[1];
  if (code !== undefined) return new Refused(status, code, reason);
  return new Error(`the server closed with ${status} ${reason}`);
}

type Frame = Envelope &
  GapNotice & {
    readonly op?: string;
    readonly id?: number | string;
    readonly ok?: boolean;
    readonly error?: { readonly code: string };
    readonly continuity?: Continuity;
    readonly gap?: GapNotice;
  };

interface Start {
  readonly cursor: string;
  readonly continuity: Continuity;
  readonly gap: GapNotice | undefined;
}

function readerOf({ socket, frames, goodbye }: Open, start: Start): Reader {
  let { cursor, gap } = start;
  return {
    continuity: start.continuity,
    get gap() {
      return gap;
    },
    get cursor() {
      return cursor;
    },
    async next(): Promise<Received> {
      for (;;) {
        const frame = await frames.next();
        if (frame.op === 'gap') gap = frame;
        if (frame.op !== undefined && frame.op !== 'message') continue;
        ({ cursor } = frame);
        return fromEnvelope(frame);
      }
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
    cut: () => (socket as unknown as { _socket: Socket })._socket.resetAndDestroy(),
    goodbye,
  };
}

/** `/channels/x` with envelopes: one channel or filter per connection. */
export const rawWebSocketDriver: TransportDriver = {
  name: 'websocket raw',
  transport: 'websocket',
  async read(server, filter, from) {
    const opened = await open(server, `${pathOf(filter)}?${queryOf(from, { format: 'envelope' })}`, []);
    const { headers } = opened.response;
    const continuity = headers['everywire-continuity'] as Continuity;
    const gap = continuity === 'gap' ? await opened.frames.next() : undefined;
    return readerOf(opened, { cursor: gap?.cursor ?? String(headers['everywire-cursor']), continuity, gap });
  },
  readSeveral: { lacks: 'a connection has one filter, which is in its address' },
  readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
  readRefreshably: { lacks: 'every frame is a message: a reader comes back with the cursor' },
  ...keepsItsOwnPlace,
  readAndPublish: { lacks: 'a frame names no channel: the test of connect sees that it comes back' },
  readOthers: hearsItself,
  connect: connectRaw,
  publish: publishOver(connectRaw),
  publishedTooFast: {
    reason: 'a refusal would end the connection: the server reads more slowly',
    is: 'is delayed',
  },
  untoldByPublishers: {
    reason: 'a frame is a payload and nothing else, and its answer is that it comes back',
    fields: ['cursor', 'offset', 'type', 'headers'],
  },
  refusedPublisher: 'is closed',
  goodbyeOfToken: /^1008 unauthorized: /,
};

/** A connection for each channel. Its own messages come back to it, which is the only answer there is. */
async function connectRaw(server: Addresses): Promise<Publisher> {
  const connections = new Map<string, Open>();
  return {
    async publish(channel, { payload, type }) {
      let opened = connections.get(channel);
      if (opened === undefined) {
        const query = queryOf(undefined, { format: 'envelope', type });
        opened = await open(server, `${pathOf(channel)}?${query}`, []);
        connections.set(channel, opened);
      }
      opened.socket.send(payload, { binary: !/^text\/|json/.test(type) || !isUtf8(payload) });
      for (;;) {
        const envelope = fromEnvelope(await opened.frames.next());
        if (envelope.payload.equals(payload)) return untold;
      }
    },
    get isOpen() {
      return [...connections.values()].every(({ socket }) => socket.readyState === WebSocket.OPEN);
    },
    close: () => {
      for (const { socket } of connections.values()) socket.close();
    },
  };
}

async function openCommands(server: Addresses, filters: readonly string[], from?: From) {
  const opened = await open(server, '/ws', ['everywire.v1']);
  let answer: Frame | undefined;
  try {
    for (const channel of filters) answer = await command(opened, { op: 'subscribe', channel, ...from });
  } catch (error) {
    opened.socket.close();
    throw error;
  }
  const { cursor, continuity, gap } = answer!;
  return { opened, start: { cursor, continuity: continuity!, gap } };
}

async function readCommands(server: Addresses, filter: string, from?: From): Promise<RefreshableReader> {
  const { opened, start } = await openCommands(server, [filter], from);
  return Object.assign(readerOf(opened, start), {
    async refresh(token: string): Promise<void> {
      opened.socket.send(JSON.stringify({ id: refreshId, op: 'auth', token }));
      const frame = await opened.refreshes.next();
      if (frame.ok !== true) throw refusedBy(frame);
    },
  });
}

async function connectCommands(server: Addresses): Promise<Publisher> {
  return publisherOn(await open(server, '/ws', ['everywire.v1']));
}

function publisherOn(opened: Open): Publisher {
  return {
    publish(channel, message: Outgoing): Promise<Answer> {
      const { payload, ...rest } = message;
      return command(opened, { op: 'publish', channel, ...rest, base64: payload.toString('base64') });
    },
    get isOpen() {
      return opened.socket.readyState === WebSocket.OPEN;
    },
    close: () => opened.socket.close(),
  };
}

/** `/ws`, subprotocol `everywire.v1`: commands and many channels on one connection. */
export const everywireDriver: TransportDriver = {
  name: 'websocket everywire.v1',
  transport: 'websocket',
  read: readCommands,
  async readSeveral(server, filters) {
    const { opened } = await openCommands(server, filters);
    return { close: () => opened.socket.close() };
  },
  readRetained: { lacks: 'a reader begins at a place in the log, and nothing comes before it' },
  readRefreshably: readCommands,
  ...keepsItsOwnPlace,
  async readAndPublish(server, filter) {
    const { opened, start } = await openCommands(server, [filter]);
    return Object.assign(readerOf(opened, start), { publish: publisherOn(opened).publish });
  },
  readOthers: hearsItself,
  connect: connectCommands,
  publish: publishOver(connectCommands),
  refusedPublisher: 'stays',
  goodbyeOfToken: /^1008 unauthorized: /,
};

/** Sends a command and returns the frame that answers it, which must be the first to come. */
async function command({ socket, frames }: Open, fields: object): Promise<Frame> {
  socket.send(JSON.stringify({ id: 1, ...fields }));
  const frame = await frames.next();
  if (frame.ok === true) return frame;
  throw refusedBy(frame);
}

function refusedBy(frame: Frame): Refused {
  return new Refused(0, frame.error!.code, JSON.stringify(frame));
}
