import http, { type IncomingMessage } from 'node:http';
import type { Continuity, Envelope, GapNotice } from '@everywire/protocol';
import {
  Refused,
  type Addresses,
  type Answer,
  type From,
  type Outgoing,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { fromEnvelope, pathOf, queryOf } from './envelopes.ts';
import { Inbox } from './inbox.ts';

interface Page {
  readonly messages: readonly Envelope[];
  readonly cursor: string;
  readonly continuity: Continuity;
  readonly gap?: GapNotice;
}

/** One request on a connection of its own; the body is left unread. */
function request(url: string, options: http.RequestOptions, body?: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { agent: false, ...options }, resolve);
    sent.on('error', reject);
    sent.end(body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function refusal(response: IncomingMessage): Promise<Refused> {
  const text = await textOf(response);
  const { code } = JSON.parse(text) as { code: string };
  return new Refused(response.statusCode ?? 0, code);
}

/** Publishing for the transports whose upward half is `POST`. */
export async function publishByPost(server: Addresses, channel: string, message: Outgoing): Promise<Answer> {
  const headers: Record<string, string> = { 'content-type': message.type };
  if (message.event !== undefined) headers['everywire-event'] = message.event;
  if (message.key !== undefined) headers['idempotency-key'] = message.key;
  for (const [name, value] of Object.entries(message.headers ?? {}))
    headers[`everywire-meta-${name}`] = value;
  const response = await request(server.url + pathOf(channel), { method: 'POST', headers }, message.payload);
  if (response.statusCode !== 201 && response.statusCode !== 200) throw await refusal(response);
  return JSON.parse(await textOf(response)) as Answer;
}

/** Polling and long polling: every page is a request, the cursor is all that is kept. */
function pollingDriver(name: string, wait: string | undefined): TransportDriver {
  return {
    name,
    publish: publishByPost,
    async read(server, filter, from) {
      const ask = async (place: From, waiting: string | undefined): Promise<Page> => {
        const query = queryOf(place, waiting === undefined ? {} : { wait: waiting });
        const response = await request(`${server.url}${pathOf(filter)}?${query}`, {
          headers: { accept: 'application/json' },
        });
        if (response.statusCode !== 200) throw await refusal(response);
        return JSON.parse(await textOf(response)) as Page;
      };
      const first = await ask(from ?? { since: 'latest' }, undefined);
      const arrived = first.messages.map(fromEnvelope);
      let { cursor } = first;
      let isOpen = true;
      return {
        continuity: first.continuity,
        gap: first.gap,
        get cursor() {
          return arrived[0] === undefined ? cursor : cursor;
        },
        async next() {
          for (;;) {
            const message = arrived.shift();
            if (message !== undefined) return message;
            if (!isOpen) throw new Error('closed');
            const page = await ask({ after: cursor }, wait);
            ({ cursor } = page);
            arrived.push(...page.messages.map(fromEnvelope));
            // A poller comes back after a while; the suites cannot wait for seconds.
            if (wait === undefined && arrived.length === 0)
              await new Promise((resolve) => setTimeout(resolve, 5));
          }
        },
        close: () => (isOpen = false),
        cut: () => (isOpen = false),
        goodbye: new Promise(() => undefined),
      };
    },
  };
}

/** Where a parser of lines puts what it finds. */
interface Lines {
  message(envelope: Envelope): void;
  gap(gap: GapNotice): void;
  place(cursor: string): void;
}

function parseNdjson(line: string, to: Lines): void {
  if (line === '') return;
  const value = JSON.parse(line) as Envelope & { gap?: GapNotice; goaway?: unknown };
  if (value.gap !== undefined) to.gap(value.gap);
  else if (value.goaway === undefined) to.message(value);
}

/** HTML §9.2.6, as far as a server may send it. */
function eventParser(): (line: string, to: Lines) => void {
  let event = '';
  let data: string[] = [];
  return (line, to) => {
    if (line === '') {
      if (data.length > 0) {
        const value = JSON.parse(data.join('\n')) as Envelope & GapNotice;
        if (event === 'everywire.gap') to.gap(value);
        else to.message(value);
      }
      event = '';
      data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    if (field === 'event') event = value;
    if (field === 'id' && value !== '') to.place(value);
  };
}

function streamingDriver(
  name: string,
  accept: string,
  parser: () => (line: string, to: Lines) => void,
): TransportDriver {
  return {
    name,
    publish: publishByPost,
    async read(server, filter, from): Promise<Reader> {
      const url = `${server.url}${pathOf(filter)}?${queryOf(from, { format: 'envelope' })}`;
      const response = await request(url, { headers: { accept } });
      if (response.statusCode !== 200) throw await refusal(response);
      const inbox = new Inbox<Received>();
      let gap: GapNotice | undefined;
      let cursor = String(response.headers['everywire-cursor'] ?? '');
      let sayGoodbye: (said: string) => void = () => undefined;
      const goodbye = new Promise<string>((resolve) => (sayGoodbye = resolve));
      const gapSeen = Promise.withResolvers<GapNotice>();
      const parse = parser();
      const to: Lines = {
        message: (envelope) => inbox.push(fromEnvelope(envelope)),
        gap: (notice) => {
          gap = notice;
          gapSeen.resolve(notice);
        },
        place: (place) => (cursor = place),
      };
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        for (const line of lines) parse(line, to);
      });
      const ended = () => {
        inbox.end(new Error(`${name}: the server ended the response`));
        sayGoodbye('ended');
      };
      response.on('end', ended);
      response.on('error', ended);
      const continuity = String(response.headers['everywire-continuity']) as Continuity;
      if (continuity === 'gap') await gapSeen.promise;
      return {
        continuity,
        gap,
        get cursor() {
          return cursor;
        },
        async next() {
          const message = await inbox.next();
          ({ cursor } = message);
          return message;
        },
        pause: () => response.pause(),
        resume: () => response.resume(),
        close: () => response.socket.end(),
        cut: () => response.socket.resetAndDestroy(),
        goodbye,
      };
    },
  };
}

export const pollDriver = pollingDriver('poll', undefined);
export const longPollDriver = pollingDriver('long poll', '20s');
export const streamDriver = streamingDriver('stream', 'application/x-ndjson', () => parseNdjson);
export const sseDriver = streamingDriver('sse', 'text/event-stream', eventParser);
