import { Type, type TSchema } from 'typebox';
import {
  channelPageSchema,
  pageSchema,
  problems,
  problemSchema,
  receiptSchema,
  revokedSchema,
  ticketSchema,
} from './schemas.ts';

/** The OpenAPI description of a route beside its body: Fastify does not check parameters and answers. */
export interface RouteDocs {
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly querystring?: TSchema;
  readonly headers?: TSchema;
  readonly params?: TSchema;
  readonly consumes?: readonly string[];
  readonly response: Readonly<Record<number, object>>;
}

const name = Type.Object({
  channel: Type.String({
    description:
      'The rest of the path: a channel, or for reads a filter with * and **. Each level is percent-encoded.',
  }),
});

const place = {
  after: Type.Optional(Type.String({ description: 'A cursor: read the messages after it.' })),
  since: Type.Optional(
    Type.String({ description: 'earliest, latest, last-<n>, an RFC 3339 time, or a time ago such as -5m.' }),
  ),
  lastEventId: Type.Optional(
    Type.String({ description: 'The same as Last-Event-ID, for clients that cannot set a header.' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
  wait: Type.Optional(
    Type.String({ description: 'Long polling: how long to wait for the first message, such as 30s.' }),
  ),
};

const format = Type.Optional(
  Type.String({ enum: ['raw', 'envelope'], description: 'The format of events in a stream.' }),
);

const readHeaders = Type.Object({
  'If-None-Match': Type.Optional(Type.String({ description: 'The ETag of an earlier page.' })),
  'Last-Event-ID': Type.Optional(Type.String({ description: 'A cursor; wins over after.' })),
  Prefer: Type.Optional(Type.String({ description: 'wait=30: the same as the parameter (RFC 7240).' })),
});

const readAnswers = {
  200: {
    description: 'A page, or an endless response, as Accept asks.',
    content: {
      'application/json': { schema: pageSchema },
      'application/x-ndjson': { schema: Type.String({ description: 'One envelope a line.' }) },
      'text/event-stream': { schema: Type.String({ description: 'Events whose id is the cursor.' }) },
    },
  },
  304: { description: 'Nothing new since If-None-Match.' },
  ...problems(400, 401, 403, 406, 429, 503),
};

export const readDocs: RouteDocs = {
  summary: 'Read a channel or a filter',
  description:
    'Polling, long polling, streaming or Server-Sent Events; Upgrade: websocket is taken here as well.',
  tags: ['channels'],
  params: name,
  querystring: Type.Object({ ...place, format }),
  headers: readHeaders,
  response: readAnswers,
};

export const streamDocs: RouteDocs = {
  summary: 'Read several channels and filters in one response',
  tags: ['channels'],
  querystring: Type.Object({
    channel: Type.Array(Type.String(), { description: 'Repeat it for each filter.' }),
    ...place,
  }),
  headers: readHeaders,
  response: readAnswers,
};

export const streamManyDocs: RouteDocs = {
  summary: 'Read many channels and filters in one response',
  description: 'The same as GET, for more names than fit into an address.',
  tags: ['channels'],
  consumes: ['application/json'],
  headers: readHeaders,
  response: { 200: readAnswers[200], ...problems(400, 401, 403, 406, 413, 415, 422, 429, 503) },
};

const receiptContent = { content: { 'application/json': { schema: receiptSchema } } };

export const publishDocs: RouteDocs = {
  summary: 'Publish a message',
  description: 'The body is the payload, of any media type; Everywire-Meta-<name> fields become its headers.',
  tags: ['channels'],
  params: name,
  headers: Type.Object({
    'Everywire-Event': Type.Optional(Type.String({ description: 'A label.' })),
    'Everywire-Retain': Type.Optional(Type.String({ enum: ['true', 'false'] })),
    'Everywire-TTL': Type.Optional(
      Type.String({ description: 'The message expires after this time, such as 60s.' }),
    ),
    'Idempotency-Key': Type.Optional(
      Type.String({ description: 'The same key on the same channel is stored once.' }),
    ),
  }),
  response: {
    200: { description: 'The key was used before: the answer repeats the first one.', ...receiptContent },
    201: { description: 'Stored durably.', ...receiptContent },
    ...problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503, 507),
  },
};

export const publishManyDocs: RouteDocs = {
  summary: 'Publish several messages',
  tags: ['channels'],
  consumes: ['application/json'],
  response: {
    200: {
      description: 'A receipt or a problem for each entry, in order.',
      content: { 'application/json': { schema: Type.Array(Type.Union([receiptSchema, problemSchema])) } },
    },
    ...problems(400, 401, 408, 413, 415, 422, 429, 503),
  },
};

export const listDocs: RouteDocs = {
  summary: 'List channels',
  tags: ['channels'],
  querystring: Type.Object({
    filter: Type.Optional(Type.String({ default: '**' })),
    after: Type.Optional(Type.String({ description: 'A channel name: lists the channels after it.' })),
    limit: place.limit,
  }),
  response: {
    200: { description: 'By name.', content: { 'application/json': { schema: channelPageSchema } } },
    ...problems(400, 401, 403, 503),
  },
};

export const deleteDocs: RouteDocs = {
  summary: 'Delete a channel',
  tags: ['channels'],
  params: name,
  response: {
    204: { description: 'The log is gone; its epoch changes.' },
    ...problems(400, 401, 403, 404, 503),
  },
};

export const ticketDocs: RouteDocs = {
  summary: 'Get a ticket',
  description:
    'Authenticates the caller in one handshake, as `?ticket=` in its address: for browsers, whose EventSource and WebSocket ' +
    'cannot set a header.',
  tags: ['tokens'],
  response: {
    201: {
      description: 'Valid once, and for a short time.',
      content: { 'application/json': { schema: ticketSchema } },
    },
    ...problems(401, 404, 429, 503),
  },
};

export const revokeDocs: RouteDocs = {
  summary: 'Revoke tokens',
  description: 'One token by its `jti`, or all that were issued to a subject until now. For administrators.',
  tags: ['tokens'],
  consumes: ['application/json'],
  response: {
    200: {
      description: 'The revocation is stored, and its sessions have ended.',
      content: { 'application/json': { schema: revokedSchema } },
    },
    ...problems(400, 401, 403, 404, 415, 422, 429, 503),
  },
};

function healthDocs(summary: string, response: RouteDocs['response']): RouteDocs {
  return { summary, tags: ['operation'], response };
}

const status = {
  content: {
    'application/json': {
      schema: Type.Object({ status: Type.String(), detail: Type.Optional(Type.String()) }),
    },
  },
};

export const livezDocs = healthDocs('Whether the process lives', {
  200: { description: 'It does.', ...status },
});
export const readyzDocs = healthDocs('Whether this node takes traffic', {
  200: { description: 'It does.', ...status },
  503: { description: 'Starting, draining, or without its store.', ...status },
});
export const metricsDocs = healthDocs('Metrics', {
  200: { description: 'Prometheus text.', content: { 'text/plain': { schema: Type.String() } } },
  ...problems(401, 403),
});
export const openApiDocs = healthDocs('This document', {
  200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: Type.Object({}) } } },
});
export const problemDocs: RouteDocs = {
  ...healthDocs('What a problem means', {
    200: { description: 'For people.', content: { 'text/plain': { schema: Type.String() } } },
    ...problems(404),
  }),
  params: Type.Object({ code: Type.String() }),
};
