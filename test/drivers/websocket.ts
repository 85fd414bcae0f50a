import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Continuity, Envelope, GapNotice } from '@everywire/protocol';
import { WebSocket } from 'ws';
import {
  Refused,
  type Answer,
  type Outgoing,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { fromEnvelope, pathOf, queryOf } from './envelopes.ts';
import { Inbox } from './inbox.ts';

/** A client of the `ws` package: somebody else's reading of RFC 6455. Frames are kept from the first byte on. */
interface Open {
  readonly socket: WebSocket;
  readonly response: IncomingMessage;
  readonly frames: Inbox<Frame>;
  readonly goodbye: Promise<string>;
}

function open(url: string, protocols: readonly string[]): Promise<Open> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), [...protocols], { perMessageDeflate: false });
    const frames = new Inbox<Frame>();
    const goodbye = Promise.withResolvers<string>();
    let response: IncomingMessage;
    socket.on('upgrade', (upgraded) => (response = upgraded));
    socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
    socket.on('close', (code, reason) => {
      frames.end(new Error(`the server closed with ${code} ${reason.toString()}`));
      goodbye.resolve(`${code} ${reason.toString()}`);
    });
    socket.on('open', () => resolve({ socket, response, frames, goodbye: goodbye.promise }));
    socket.on('error', (cause) => {
      frames.end(cause);
      reject(cause);
    });
    socket.on('unexpected-response', (_request, refused) => {
      const chunks: Buffer[] = [];
      refused.on('data', (chunk: Buffer) => chunks.push(chunk));
      refused.on('end', () => {
        const { code } = JSON.parse(Buffer.concat(chunks).toString()) as { code: string };
        reject(new Refused(refused.statusCode ?? 0, code));
      });
    });
  });
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
  async read(server, filter, from) {
    const opened = await open(`${server.url}${pathOf(filter)}?${queryOf(from, { format: 'envelope' })}`, []);
    const { headers } = opened.response;
    const continuity = headers['everywire-continuity'] as Continuity;
    const gap = continuity === 'gap' ? await opened.frames.next() : undefined;
    return readerOf(opened, { cursor: gap?.cursor ?? String(headers['everywire-cursor']), continuity, gap });
  },
};

/** `/ws`, subprotocol `everywire.v1`: commands and many channels on one connection. */
export const everywireDriver: TransportDriver = {
  name: 'websocket everywire.v1',
  async read(server, filter, from) {
    const opened = await open(`${server.url}/ws`, ['everywire.v1']);
    const { cursor, continuity, gap } = await command(opened, { op: 'subscribe', channel: filter, ...from });
    return readerOf(opened, { cursor, continuity: continuity!, gap });
  },
  async publish(server, channel, message: Outgoing): Promise<Answer> {
    const opened = await open(`${server.url}/ws`, ['everywire.v1']);
    try {
      const { payload, ...rest } = message;
      return await command(opened, { op: 'publish', channel, ...rest, base64: payload.toString('base64') });
    } finally {
      opened.socket.close();
    }
  },
};

/** Sends a command and returns the frame that answers it, which must be the first to come. */
async function command({ socket, frames }: Open, fields: object): Promise<Frame> {
  socket.send(JSON.stringify({ id: 1, ...fields }));
  const frame = await frames.next();
  if (frame.ok === true) return frame;
  socket.close();
  throw new Refused(0, frame.error!.code);
}
