import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Envelope, GapNotice } from '@everywire/protocol';
import { Webhook } from 'standardwebhooks';
import {
  bearer,
  publishesApart,
  Refused,
  type AcknowledgingReader,
  type Addresses,
  type DurableReader,
  type From,
  type Received,
  type RefreshableReader,
  type TransportDriver,
} from './driver.ts';
import { fromEnvelope } from './envelopes.ts';
import { Inbox } from './inbox.ts';

interface View {
  readonly cursor: string;
  readonly failures: number;
  readonly lastGap: GapNotice | null;
  readonly pausedBecause: string | null;
}

/** How often the driver reads the view of a webhook: only the view shows its end. */
const lookEveryMs = 50;

async function ask(server: Addresses, method: string, path: string, body?: object): Promise<Response> {
  const response = await fetch(server.url + path, {
    method,
    headers: { ...bearer(server), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (response.ok) return response;
  const text = await response.text();
  // What the parser of HTTP refuses has no body.
  const { code } = text === '' ? { code: String(response.status) } : (JSON.parse(text) as { code: string });
  throw new Refused(response.status, code, text);
}

interface WebhookReader extends RefreshableReader {
  /** Answers what waits. */
  answer(status: 204 | 503): void;
  /** Stops listening. */
  readonly leave: () => void;
  /** Listens again, at the same address. */
  readonly comeBack: () => Promise<void>;
  /** Resolves when the server has seen an attempt fail. */
  failed(): Promise<void>;
}

/** Starts an endpoint on loopback, which the server must be allowed to call, and registers a webhook for it. */
async function read(
  server: Addresses,
  filter: string,
  from?: From,
  acksByHand = false,
): Promise<WebhookReader> {
  const inbox = new Inbox<Received>();
  const seen = new Set<string>();
  const held: ServerResponse[] = [];
  let isPaused = acksByHand;
  let isOpen = true;
  let verify: (body: string, headers: Record<string, string>) => unknown = () => undefined;
  const endpoint = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      verify(body, request.headers as Record<string, string>);
      const id = request.headers['webhook-id'] as string;
      inbox.push({ ...fromEnvelope(JSON.parse(body) as Envelope), isRepeated: seen.has(id) });
      seen.add(id);
      if (isPaused) held.push(response);
      else response.writeHead(204).end();
    });
  });
  endpoint.listen(0, '127.0.0.1');
  await once(endpoint, 'listening');
  const stop = (): void => {
    isOpen = false;
    endpoint.close();
    endpoint.closeAllConnections();
    inbox.end(new Error('the endpoint was closed'));
  };
  const { port } = endpoint.address() as AddressInfo;
  const secret = `whsec_${Buffer.alloc(32, port % 256).toString('base64')}`;
  const library = new Webhook(secret);
  verify = (body, headers) => library.verify(body, headers);
  const operator = { ...server, token: server.adminToken ?? server.token };
  const registration = { url: `http://127.0.0.1:${port}/`, filter, secret, ...from };
  let path: string;
  try {
    const registered = await ask(server, 'POST', '/webhooks', registration);
    path = `/webhooks/${((await registered.json()) as { readonly id: string }).id}`;
  } catch (error) {
    stop();
    throw error;
  }
  const look = async (): Promise<View> => (await (await ask(operator, 'GET', path)).json()) as View;
  const view = await look();
  const gap = view.lastGap ?? undefined;
  // The cursor of its start, also after deliveries.
  let cursor = gap?.cursor ?? from?.after ?? view.cursor;
  const remove = (): void => {
    ask(operator, 'DELETE', path).catch(() => undefined);
  };
  const answer = (status: 204 | 503): void => {
    for (const response of held.splice(0)) response.writeHead(status).end();
  };
  // Every change retries a failing endpoint at once.
  const retry = async (): Promise<void> => {
    await ask(operator, 'PATCH', path, { state: 'active' });
  };
  let goodbye: Promise<string> | undefined;
  // It is the server that connects: that it does so no more can only be seen by looking.
  const watch = async (): Promise<string> => {
    while (isOpen) {
      const seen = await look().catch((error: unknown) => {
        // It may have been removed while it was looked at.
        if (isOpen) throw error;
      });
      if (seen != null && seen.pausedBecause !== null) return `paused: ${seen.pausedBecause}`;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
    return 'closed';
  };
  return {
    continuity: gap === undefined ? 'exact' : 'gap',
    gap,
    get cursor() {
      return cursor;
    },
    async next(): Promise<Received> {
      const message = await inbox.next();
      ({ cursor } = message);
      return message;
    },
    async refresh(token) {
      await ask({ ...server, token }, 'PATCH', path, { paused: false });
    },
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
      answer(204);
    },
    answer,
    leave: () => {
      endpoint.close();
      endpoint.closeAllConnections();
    },
    async comeBack() {
      endpoint.listen(port, '127.0.0.1');
      await once(endpoint, 'listening');
      await retry();
    },
    async failed() {
      while ((await look()).failures === 0) await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      await retry();
    },
    close: () => {
      remove();
      stop();
    },
    cut: () => {
      stop();
      remove();
    },
    get goodbye() {
      return (goodbye ??= watch());
    },
  };
}

/** An answer of 2xx acknowledges; an endpoint that says 503 is asked again. */
async function readAcknowledging(server: Addresses, filter: string): Promise<AcknowledgingReader> {
  const reader = await read(server, filter, undefined, true);
  return Object.assign(reader, {
    ack: async () => reader.answer(204),
    async abandon() {
      reader.answer(503);
      await reader.failed();
      return this as AcknowledgingReader;
    },
  });
}

/** An endpoint that cannot be reached for a while. */
async function readDurably(server: Addresses, filter: string): Promise<DurableReader> {
  const reader = await read(server, filter);
  const { comeBack, leave } = reader;
  return Object.assign(reader, {
    cut: leave,
    async comeBack() {
      await comeBack();
      return this as DurableReader;
    },
  });
}

/** Registers them one after the other; they belong to the subject, not to a connection. */
async function readSeveral(server: Addresses, filters: readonly string[]) {
  const paths: string[] = [];
  const close = (): void => {
    for (const path of paths) ask(server, 'DELETE', path).catch(() => undefined);
  };
  try {
    for (const filter of filters) {
      const registered = await ask(server, 'POST', '/webhooks', { url: 'http://127.0.0.1:9/', filter });
      paths.push(`/webhooks/${((await registered.json()) as { readonly id: string }).id}`);
    }
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

export const webhookDriver: TransportDriver = {
  name: 'webhook',
  transport: 'webhook',
  read,
  readSeveral,
  readRetained: { lacks: 'a webhook begins at a place in the log, and nothing comes before it' },
  readRefreshably: read,
  readAcknowledging,
  readDurably,
  ...publishesApart,
  readShared: { lacks: 'an endpoint has its own position, but a group has one position for all members' },
  connect: { lacks: 'the server calls, and takes nothing from the answer' },
  refusedPublisher: 'stays',
  goodbyeOfToken: /^paused: unauthorized$/,
};
