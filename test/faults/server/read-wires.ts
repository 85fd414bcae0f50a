import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { readEnvelope, type Envelope, type GapNotice } from '@everywire/protocol';
import { readFrame } from '@everywire/protocol/everywire-v1';
import {
  ndjsonMediaTypes,
  NdjsonReader,
  readPage,
  sseItem,
  sseMediaType,
  SseReader,
  type Page,
  type StreamItem,
} from '@everywire/protocol/http';
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
      openStream(
        `${http}/channels/${filter}?after=${after}`,
        ndjsonMediaTypes[0],
        itemsBy(new NdjsonReader(), events),
      ),
  },
  {
    name: 'sse',
    open: (http, filter, after, events) =>
      openStream(
        `${http}/channels/${filter}?after=${after}&format=envelope`,
        sseMediaType,
        eventsBy(new SseReader(), events),
      ),
  },
  {
    name: 'websocket',
    open: (http, filter, after, events) =>
      openWebSocket(`${http}/channels/${filter}?after=${after}&format=envelope`, undefined, (text) =>
        readText(text, events),
      ),
  },
  {
    name: 'everywire.v1',
    open: (http, filter, after, events) =>
      openWebSocket(
        `${http}/ws`,
        'everywire.v1',
        (text) => readText(text, events),
        JSON.stringify({ id: 1, op: 'subscribe', channel: filter, after }),
      ),
  },
];

function itemsBy(reader: NdjsonReader, events: ReadingEvents): (text: string) => void {
  return (text) => {
    for (const item of reader.push(text)) readItem(item, events);
  };
}

function eventsBy(reader: SseReader, events: ReadingEvents): (text: string) => void {
  return (text) => {
    for (const event of reader.push(text)) readItem(sseItem(event), events);
  };
}

function readItem(item: StreamItem | undefined, events: ReadingEvents): void {
  if (item?.kind === 'message') events.message(item.envelope);
  else if (item?.kind === 'gap') events.gap(item.notice);
  else if (item?.kind === 'position') events.place(item.cursor);
}

/** A frame of `everywire.v1`, or a bare envelope. */
function readText(text: string, events: ReadingEvents): void {
  const value: unknown = JSON.parse(text);
  const frame = readFrame(value);
  const envelope = frame?.op === 'message' ? frame.envelope : readEnvelope(value);
  const notice = frame?.op === 'gap' ? frame.notice : frame?.op === 'accepted' ? frame.gap : undefined;
  if (envelope !== undefined) events.message(envelope);
  else if (notice !== undefined) events.gap(notice);
}

function sever(socket: Socket | undefined, how: Cut): void {
  if (how === 'rst') socket?.resetAndDestroy();
  else socket?.destroy();
}

function openStream(url: string, accept: string, take: (text: string) => void): OpenReading {
  let isCut = false;
  const sent = request(url, { headers: { accept }, agent: false });
  const ended = new Promise<void>((resolve) => {
    sent.on('response', (response) => {
      if (response.statusCode !== 200) sent.destroy();
      response.setEncoding('utf8').on('data', (text: string) => {
        if (!isCut) take(text);
      });
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

/** Polls again and again, long or short, each time with a new request. */
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
      const page = await new Promise<Page | undefined>((resolve) => {
        sent = request(`${http}/channels/${filter}?after=${after}&limit=${pageMessages}${query}`, {
          agent: false,
        });
        sent.on('response', (response) => void readBody(response).then(resolve));
        sent.on('error', () => resolve(undefined));
        sent.end();
      });
      // What was on its way when it was cut has not been read.
      if (state.isCut || page === undefined) return;
      for (const gap of page.gaps) events.gap(gap);
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

async function readBody(response: IncomingMessage): Promise<Page | undefined> {
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  } catch {
    // Cut in the middle: the page was not read.
    return undefined;
  }
  return response.statusCode === 200 ? readPage(JSON.parse(text)) : undefined;
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
