import { Type } from 'typebox';
import type { RouteDocs } from '../../http/route-docs.ts';
import { problems } from '../../http/schemas.ts';
import { deliveryFormats } from './format.ts';

const strict = { additionalProperties: false };
const format = Type.Optional(
  Type.Union(
    deliveryFormats.map((name) => Type.Literal(name)),
    { default: 'envelope', description: 'The format of a delivery.' },
  ),
);
const secret = Type.Optional(
  Type.String({ description: 'whsec_ and 24 to 64 bytes in base64; made when absent.' }),
);
const place = {
  after: Type.Optional(Type.String({ description: 'A cursor.' })),
  since: Type.Optional(Type.String({ description: 'earliest, latest, last-<n>, an RFC 3339 time, or -5m.' })),
};

export const createSchema = Type.Object(
  { url: Type.String(), filter: Type.String(), ...place, secret, format },
  { ...strict, title: 'NewWebhook' },
);

export const changeSchema = Type.Object(
  {
    url: Type.Optional(Type.String()),
    secret: Type.Optional(Type.String({ description: 'A new one; the old one signs too for 24 hours.' })),
    format,
    paused: Type.Optional(Type.Boolean()),
    state: Type.Optional(
      Type.Union([Type.Literal('paused'), Type.Literal('active')], { description: 'The same as `paused`.' }),
    ),
  },
  { ...strict, title: 'WebhookChange' },
);

export const skipSchema = Type.Object(
  { channel: Type.String({ description: 'One of `parked`.' }) },
  { ...strict, title: 'Skip' },
);

export const rewindSchema = Type.Object(place, { ...strict, title: 'Rewind' });

const nullable = (type: 'string' | 'object') => Type.Unsafe<string | object | null>({ type: [type, 'null'] });

const webhook = Type.Object(
  {
    id: Type.String(),
    url: Type.String(),
    filter: Type.String(),
    format: Type.String({ enum: [...deliveryFormats] }),
    state: Type.String({ enum: ['active', 'failing', 'paused'] }),
    pausedBecause: Type.Unsafe<string | null>({
      enum: ['asked', 'gone', 'unauthorized', null],
      description: 'Why it is paused: a PATCH, a 410 of the receiver, or the end of its token.',
    }),
    expires: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      format: 'date-time',
      description: 'When its token expires and the webhook pauses; null: never.',
    }),
    cursor: Type.String({ description: 'The endpoint has taken all messages up to here.' }),
    lag: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description:
        'Messages that it has not taken yet, counted up to 1,000; null without permission to read them.',
    }),
    failures: Type.Integer({ description: 'Failed attempts in a row.' }),
    lastError: nullable('string'),
    nextAttempt: nullable('string'),
    parked: Type.Array(
      Type.Object({
        channel: Type.String(),
        cursor: Type.String({ description: 'The endpoint confirmed everything in this channel up to here.' }),
        failures: Type.Integer(),
        lastError: nullable('string'),
        nextAttempt: nullable('string'),
      }),
      { description: 'Channels that are set aside while a message fails; the others continue.' },
    ),
    lastGap: nullable('object'),
    created: Type.String({ format: 'date-time' }),
  },
  { title: 'Webhook' },
);

const json = (schema: object) => ({ content: { 'application/json': { schema } } });
const params = Type.Object({ id: Type.String() });
const tags = ['webhooks'];
const refusals = problems(400, 401, 403, 413, 415, 422, 429, 503);

export const createDocs: RouteDocs = {
  summary: 'Register a webhook',
  tags,
  consumes: ['application/json'],
  response: {
    201: { description: 'Registered.', ...json(Type.Object({ id: Type.String(), secret: Type.String() })) },
    ...refusals,
  },
};
export const listDocs: RouteDocs = {
  summary: 'List webhooks',
  tags,
  querystring: Type.Object({
    after: Type.Optional(Type.String({ description: 'An id: lists the webhooks after it.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
  }),
  response: {
    200: {
      description: 'All.',
      ...json(
        Type.Object({
          webhooks: Type.Array(webhook),
          next: Type.Optional(Type.String({ description: 'Ask again with `after` set to this.' })),
        }),
      ),
    },
    ...refusals,
  },
};
const one = { 200: { description: 'As it is now.', ...json(webhook) }, ...refusals, ...problems(404) };
export const showDocs: RouteDocs = { summary: 'Show a webhook', tags, params, response: one };
export const changeDocs: RouteDocs = {
  summary: 'Pause or resume a webhook, change its URL, secret or format',
  tags,
  params,
  consumes: ['application/json'],
  response: one,
};
export const rewindDocs: RouteDocs = {
  summary: 'Deliver again from a place on',
  tags,
  params,
  consumes: ['application/json'],
  response: one,
};
export const skipDocs: RouteDocs = {
  summary: 'Leave out the message that keeps a channel set aside',
  tags,
  params,
  consumes: ['application/json'],
  response: one,
};
export const removeDocs: RouteDocs = {
  summary: 'Remove a webhook',
  tags,
  params,
  response: { 204: { description: 'Gone.' }, ...refusals, ...problems(404) },
};
export const testDocs: RouteDocs = {
  summary: 'Send a test message now',
  tags,
  params,
  response: {
    200: {
      description: 'The status of the last answer.',
      ...json(
        Type.Object({
          delivered: Type.Boolean(),
          status: Type.Optional(Type.Integer()),
          error: Type.Optional(Type.String()),
        }),
      ),
    },
    ...refusals,
    ...problems(404),
  },
};
