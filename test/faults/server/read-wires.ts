import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Envelope, GapNotice } from '@everywire/protocol';
import { WebSocket } from 'ws';

/** What a reading tells, as the wire told it. Nothing more comes once it was cut. */
export interface ReadingEvents {
  message(envelope: Envelope): void;
  gap(notice: GapNotice): void;
  /** A place that the wire names beside messages: a page's cursor, a heartbeat's. */
  place(cursor: string): void;
}

export type Cut = 'fin' | 'rst';

export interface OpenReading {
  /** Resolves when it has ended, by whichever side. */
  readonly ended: Promise<void>;
  cut(how: Cut): void;
}

export interface ReadWire {
  readonly name: string;
  open(http: string, filter: string, after: string, events: ReadingEvents): OpenReading;
}

/** Messages of one poll. */
const pageMessages = 500;
/** Between two polls that found nothing. */
const pollEveryMs = 20;
const longPollWait = '2s';

export const readWires: readonly ReadWire[] = [
  { name: 'poll', open: (http, filter, after, events) => openPolling(http, filter, after, events, '') },
  {
    name: 'longpoll',
    open: (http, filter, after, events) => openPolling(http, filter, after, events, `&wait=${longPollWait}`),
  },
  {
    name: 'stream',
    open: (http, filter, after, events) =>
      openStream(`${http}/channels/${filter}?after=${after}`, 'application/x-ndjson', '\n', (line) => {
        if (line !== '') readLine(JSON.parse(line) as StreamLine, events);
      }),
  },
  {
    name: 'sse',
    open: (http, filter, after, events) =>
      openStream(
        `${http}/channels/${filter}?after=${after}&format=envelope`,
        'text/event-stream',
        '\n\n',
        (event) => readEvent(event, events),
      ),
  },
  {
    name: 'websocket',
    open: (http, filter, after, events) =>
      openWebSocket(`${http}/channels/${filter}?after=${after}&format=envelope`, undefined, (text) => {
        readLine(JSON.parse(text) as StreamLine, events);
      }),
  },
  {
    name: 'everywire.v1',
    open: (http, filter, after, events) =>
      openWebSocket(
        `${http}/ws`,
        'everywire.v1',
        (text) => {
          readLine(JSON.parse(text) as StreamLine, events);
        },
        JSON.stringify({ id: 1, op: 'subscribe', channel: filter, after }),
      ),
  },
];

/** Every shape in which a wire of ours brings envelopes and gaps. */
type StreamLine = Partial<Envelope> & Partial<GapNotice> & { readonly op?: string; readonly gap?: GapNotice };

function readLine(line: StreamLine, events: ReadingEvents): void {
  if (line.gap !== undefined) events.gap(line.gap);
  else if (line.op === 'gap') events.gap(line as GapNotice);
  else if (line.offset !== undefined) events.message(line as Envelope);
}

/** One event of an event stream (HTML §9.2.6), as our server writes them: one line per field. */
function readEvent(event: string, events: ReadingEvents): void {
  const fields = new Map(
    event.split('\n').map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
    }),
  );
  const data = fields.get('data');
  const id = fields.get('id');
  if (data === undefined) {
    if (id !== undefined) events.place(id);
  } else if (fields.get('event') === 'everywire.gap') {
    events.gap(JSON.parse(data) as GapNotice);
  } else {
    events.message(JSON.parse(data) as Envelope);
  }
}

/** Cuts a byte stream into pieces of text. */
function splitter(separator: string, take: (piece: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const pieces = (rest + text).split(separator);
    rest = pieces.pop()!;
    for (const piece of pieces) take(piece);
  };
}

function sever(socket: Socket | undefined, how: Cut): void {
  if (how === 'rst') socket?.resetAndDestroy();
  else socket?.destroy();
}

function openStream(
  url: string,
  accept: string,
  separator: string,
  take: (piece: string) => void,
): OpenReading {
  let isCut = false;
  const split = splitter(separator, (piece) => {
    if (!isCut) take(piece);
  });
  const sent = request(url, { headers: { accept }, agent: false });
  const ended = new Promise<void>((resolve) => {
    sent.on('response', (response) => {
      if (response.statusCode !== 200) sent.destroy();
      response.setEncoding('utf8').on('data', split);
      // A cut connection is what this is about; it ends the reading like any other end.
      response.on('error', () => resolve());
      response.on('close', () => resolve());
    });
    sent.on('error', () => resolve());
    sent.on('close', () => resolve());
    sent.end();
  });
  return {
    ended,
    cut(how) {
      isCut = true;
      sever(sent.socket ?? undefined, how);
      sent.destroy();
    },
  };
}

interface PageBody {
  readonly messages: readonly Envelope[];
  readonly cursor: string;
  readonly gap?: GapNotice;
  readonly gaps?: readonly GapNotice[];
}

/** Polls again and again on requests of its own, long or short. */
function openPolling(
  http: string,
  filter: string,
  start: string,
  events: ReadingEvents,
  query: string,
): OpenReading {
  const state = { isCut: false };
  let sent: ReturnType<typeof request> | undefined;
  const ended = (async () => {
    let after = start;
    for (;;) {
      const page = await new Promise<PageBody | undefined>((resolve) => {
        sent = request(`${http}/channels/${filter}?after=${after}&limit=${pageMessages}${query}`, {
          agent: false,
        });
        sent.on('response', (response) => void readBody(response).then(resolve));
        sent.on('error', () => resolve(undefined));
        sent.end();
      });
      // What was on its way when it was cut has not been read.
      if (state.isCut || page === undefined) return;
      for (const gap of page.gaps ?? (page.gap === undefined ? [] : [page.gap])) events.gap(gap);
      for (const envelope of page.messages) events.message(envelope);
      events.place(page.cursor);
      after = page.cursor;
      if (page.messages.length === 0 && query === '')
        await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
    }
  })();
  return {
    ended,
    cut(how) {
      state.isCut = true;
      sever(sent?.socket ?? undefined, how);
      sent?.destroy();
    },
  };
}

async function readBody(response: IncomingMessage): Promise<PageBody | undefined> {
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  } catch {
    // Cut in the middle: the page was not read.
    return undefined;
  }
  return response.statusCode === 200 ? (JSON.parse(text) as PageBody) : undefined;
}

function openWebSocket(
  url: string,
  protocol: string | undefined,
  take: (text: string) => void,
  first?: string,
): OpenReading {
  let isCut = false;
  let socket: Socket | undefined;
  const peer = new WebSocket(url.replace(/^http/, 'ws'), protocol === undefined ? [] : [protocol]);
  const ended = new Promise<void>((resolve) => {
    peer.on('upgrade', (response) => (socket = response.socket));
    peer.on('open', () => {
      if (first !== undefined) peer.send(first);
    });
    peer.on('message', (data: Buffer) => {
      if (!isCut) take(data.toString());
    });
    peer.on('error', () => resolve());
    peer.on('close', () => resolve());
  });
  return {
    ended,
    cut(how) {
      isCut = true;
      sever(socket, how);
      peer.terminate();
    },
  };
}
