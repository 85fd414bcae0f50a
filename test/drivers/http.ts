import http, { type IncomingMessage } from 'node:http';
import type { Continuity, Envelope, GapNotice } from '@everywire/protocol';
import {
  bearer,
  keepsItsOwnPlace,
  publishesApart,
  publishOver,
  Refused,
  type Addresses,
  type Answer,
  type From,
  type Lacks,
  type Outgoing,
  type Publisher,
  type RefreshableReader,
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

/** One request, on a new connection unless there is an agent; it does not read the body. */
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
  const status = response.statusCode ?? 0;
  // What the parser of HTTP refuses has no body.
  const { code } = text === '' ? { code: String(status) } : (JSON.parse(text) as { code: string });
  return new Refused(status, code, text);
}

async function post(
  server: Addresses,
  channel: string,
  message: Outgoing,
  agent: http.Agent | false,
): Promise<Answer> {
  const headers: Record<string, string> = { 'content-type': message.type, ...bearer(server) };
  if (message.event !== undefined) headers['everywire-event'] = message.event;
  if (message.key !== undefined) headers['idempotency-key'] = message.key;
  for (const [name, value] of Object.entries(message.headers ?? {}))
    headers[`everywire-meta-${name}`] = value;
  const options = { method: 'POST', headers, agent };
  const response = await request(server.url + pathOf(channel), options, message.payload);
  if (response.statusCode !== 201 && response.statusCode !== 200) throw await refusal(response);
  return JSON.parse(await textOf(response)) as Answer;
}

/** Publishing for the transports whose upward half is `POST`. */
export function publishByPost(server: Addresses, channel: string, message: Outgoing): Promise<Answer> {
  return post(server, channel, message, false);
}

async function connectToPost(server: Addresses): Promise<Publisher> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    publish: (channel, message) => post(server, channel, message, agent),
    isOpen: true,
    close: () => agent.destroy(),
  };
}

const publishing = {
  connect: connectToPost,
  publish: publishOver(connectToPost),
  refusedPublisher: 'stays',
  ...keepsItsOwnPlace,
  ...publishesApart,
} as const;
const retainsNothing: Lacks = { lacks: 'a reader begins at a place in the log, and nothing comes before it' };

/** Polling and long polling: every page is a request, the cursor is all that is kept. */
function pollingDriver(name: string, wait: string | undefined): TransportDriver {
  return {
    name,
    transport: 'poll',
    ...publishing,
    read: (server, filter, from) => poll(server, filter, from, wait),
    readSeveral: { lacks: 'a request reads one filter, and nothing is left when it is answered' },
    readRetained: retainsNothing,
    readRefreshably: (server, filter, from) => poll(server, filter, from, wait),
    readShared: { lacks: 'a reader of pages is a member while a request lasts: test/interop/groups' },
    goodbyeOfToken: /^401 unauthorized$/,
  };
}

async function poll(
  server: Addresses,
  filter: string,
  from: From | undefined,
  wait: string | undefined,
): Promise<RefreshableReader> {
  let shown = server.token;
  const ask = async (place: From, waiting: string | undefined): Promise<Page> => {
    const query = queryOf(place, waiting === undefined ? {} : { wait: waiting });
    const response = await request(`${server.url}${pathOf(filter)}?${query}`, {
      headers: { accept: 'application/json', ...bearer({ ...server, token: shown }) },
    });
    if (response.statusCode !== 200) throw await refusal(response);
    return JSON.parse(await textOf(response)) as Page;
  };
  const first = await ask(from ?? { since: 'latest' }, undefined);
  const arrived = first.messages.map(fromEnvelope);
  const goodbye = Promise.withResolvers<string>();
  let { cursor } = first;
  let isOpen = true;
  return {
    continuity: first.continuity,
    gap: first.gap,
    get cursor() {
      return cursor;
    },
    async next() {
      for (;;) {
        const message = arrived.shift();
        if (message !== undefined) return message;
        if (!isOpen) throw new Error('closed');
        try {
          const page = await ask({ after: cursor }, wait);
          ({ cursor } = page);
          arrived.push(...page.messages.map(fromEnvelope));
        } catch (error) {
          isOpen = false;
          goodbye.resolve((error as Error).message);
          throw error;
        }
        // A poller comes back after a while; the suites cannot wait for seconds.
        if (wait === undefined && arrived.length === 0)
          await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    // Each request shows one.
    async refresh(token) {
      shown = token;
    },
    close: () => (isOpen = false),
    cut: () => (isOpen = false),
    goodbye: goodbye.promise,
  };
}

/** Where a parser of lines puts what it finds. */
interface Lines {
  message(envelope: Envelope): void;
  gap(gap: GapNotice): void;
  place(cursor: string): void;
  /** The last of all: why the server ends it. */
  error(error: { readonly code: string }): void;
}

function parseNdjson(line: string, to: Lines): void {
  if (line === '') return;
  const value = JSON.parse(line) as Envelope & {
    gap?: GapNotice;
    goaway?: unknown;
    error?: { readonly code: string };
  };
  if (value.gap !== undefined) to.gap(value.gap);
  else if (value.error !== undefined) to.error(value.error);
  else if (value.goaway === undefined) to.message(value);
}

/** HTML §9.2.6, as far as a server may send it. */
function eventParser(): (line: string, to: Lines) => void {
  let event = '';
  let data: string[] = [];
  return (line, to) => {
    if (line === '') {
      if (data.length > 0) {
        const value = JSON.parse(data.join('\n')) as Envelope & GapNotice & { readonly code: string };
        if (event === 'everywire.gap') to.gap(value);
        else if (event === 'everywire.error') to.error(value);
        else if (event !== 'everywire.position') to.message(value);
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

interface Streaming {
  readonly name: string;
  readonly accept: string;
  readonly parser: () => (line: string, to: Lines) => void;
}

function streamingDriver(streaming: Streaming, transport: string): TransportDriver {
  return {
    name: streaming.name,
    transport,
    ...publishing,
    read: (server, filter, from) =>
      follow(streaming, server, `${pathOf(filter)}?${queryOf(from, { format: 'envelope' })}`),
    readSeveral: (server, filters) => {
      const channels = filters.map((filter) => `channel=${encodeURIComponent(filter)}`);
      return follow(streaming, server, `/stream?${channels.join('&')}`);
    },
    readRetained: retainsNothing,
    readRefreshably: { lacks: 'a response has one request: a reader comes back with the cursor' },
    goodbyeOfToken: /^unauthorized$/,
  };
}

async function follow(
  { name, accept, parser }: Streaming,
  server: Addresses,
  target: string,
): Promise<Reader> {
  const response = await request(server.url + target, { headers: { accept, ...bearer(server) } });
  if (response.statusCode !== 200) throw await refusal(response);
  const inbox = new Inbox<Received>();
  let gap: GapNotice | undefined;
  let cursor = String(response.headers['everywire-cursor'] ?? '');
  const goodbye = Promise.withResolvers<string>();
  const gapSeen = Promise.withResolvers<GapNotice>();
  const parse = parser();
  let said = 'ended';
  const to: Lines = {
    message: (envelope) => inbox.push(fromEnvelope(envelope)),
    gap: (notice) => {
      gap = notice;
      gapSeen.resolve(notice);
    },
    place: (place) => (cursor = place),
    error: ({ code }) => (said = code),
  };
  let rest = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) parse(line, to);
  });
  const ended = () => {
    inbox.end(new Error(`${name}: the server ended the response: ${said}`));
    goodbye.resolve(said);
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
    goodbye: goodbye.promise,
  };
}

export const pollDriver = pollingDriver('poll', undefined);
export const longPollDriver = pollingDriver('long poll', '20s');
export const streamDriver = streamingDriver(
  { name: 'stream', accept: 'application/x-ndjson', parser: () => parseNdjson },
  'stream',
);
export const sseDriver = streamingDriver(
  { name: 'sse', accept: 'text/event-stream', parser: eventParser },
  'sse',
);
