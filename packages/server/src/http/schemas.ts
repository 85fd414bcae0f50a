import { Type, type Static, type TSchema } from 'typebox';
import { errorTable } from '@everywire/protocol';

const cursor = Type.String({
  description: 'A place in the store, as opaque text.',
  examples: ['1k3f9q2.1a2b.9f3c0d4e5a6b7c8d'],
});

export const receiptSchema = Type.Object(
  {
    channel: Type.String(),
    offset: Type.Integer({ minimum: 1, description: "The message's number in its channel." }),
    cursor,
    id: Type.String(),
    time: Type.String({ format: 'date-time' }),
    duplicate: Type.Optional(
      Type.Literal(true, {
        description: 'The publish id was used before: the answer repeats the first one.',
      }),
    ),
  },
  { title: 'Receipt' },
);

export const problemSchema = Type.Object(
  {
    type: Type.String({ format: 'uri-reference' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.Optional(Type.String()),
    code: Type.String({ enum: Object.keys(errorTable) }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          detail: Type.String(),
          pointer: Type.String({ description: 'RFC 6901, as a fragment.' }),
        }),
      ),
    ),
  },
  { title: 'Problem', description: 'RFC 9457.' },
);

export const envelopeSchema = Type.Object(
  {
    channel: Type.String(),
    offset: Type.Integer({ minimum: 1 }),
    cursor,
    id: Type.String(),
    time: Type.String({ format: 'date-time' }),
    event: Type.Optional(Type.String()),
    type: Type.String({ description: 'Media type of the payload.' }),
    data: Type.Optional(Type.Unknown({ description: 'The JSON value, or the text.' })),
    base64: Type.Optional(Type.String({ description: 'The payload, when it is neither JSON nor text.' })),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    from: Type.Optional(Type.String({ description: 'The authenticated publisher.' })),
  },
  { title: 'Envelope' },
);

export const gapSchema = Type.Object(
  {
    channel: Type.String(),
    from: Type.Optional(Type.Integer()),
    to: Type.Optional(Type.Integer()),
    reason: Type.String({ enum: ['retention', 'deleted', 'restored', 'damaged', 'unknown'] }),
    cursor,
  },
  { title: 'Gap', description: 'Messages that can no longer be read.' },
);

export const pageSchema = Type.Object(
  {
    messages: Type.Array(envelopeSchema),
    cursor,
    continuity: Type.String({ enum: ['exact', 'gap'] }),
    gap: Type.Optional(gapSchema),
    gaps: Type.Optional(Type.Array(gapSchema)),
    more: Type.Optional(
      Type.Literal(true, {
        description:
          'The page is not complete: read the next one after `cursor`. A page of the newest messages lacks older ones because of their size.',
      }),
    ),
  },
  { title: 'Page' },
);

export const channelPageSchema = Type.Object(
  {
    channels: Type.Array(
      Type.Object({
        channel: Type.String(),
        offset: Type.Integer({ description: 'The offset of the newest message.' }),
        epoch: Type.String(),
        bytes: Type.Integer(),
        subscribers: Type.Integer({ description: 'Subscriptions of this node that match.' }),
      }),
    ),
    next: Type.Optional(Type.String({ description: 'Ask again with `after` set to this.' })),
  },
  { title: 'Channels' },
);

/** The body of `POST /stream`: the parameters of `GET /stream`. */
export const streamBodySchema = Type.Object(
  {
    channels: Type.Array(Type.String(), { description: 'Channels, and filters with * and **.' }),
    after: Type.Optional(Type.String({ description: 'A cursor: read the messages after it.' })),
    since: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer()),
    wait: Type.Optional(
      Type.Union([Type.String(), Type.Number()], { description: 'Long polling, such as 30s.' }),
    ),
    format: Type.Optional(Type.String()),
  },
  { additionalProperties: false, title: 'Stream' },
);

export type StreamBody = Static<typeof streamBodySchema>;

/** The check of entries is strict: otherwise a misspelt member would be lost without an error. */
export function publishBodySchema(entriesMax: number): TSchema {
  return Type.Array(
    Type.Object(
      {
        channel: Type.String(),
        data: Type.Optional(
          Type.Unknown({ description: 'The payload as JSON, or as a string when `type` is text.' }),
        ),
        base64: Type.Optional(Type.String()),
        type: Type.Optional(Type.String()),
        event: Type.Optional(Type.String()),
        headers: Type.Optional(Type.Record(Type.String(), Type.String())),
        key: Type.Optional(
          Type.String({ description: 'Publish id: the same id on the same channel is stored once.' }),
        ),
        retain: Type.Optional(Type.Boolean()),
        ttl: Type.Optional(
          Type.Union([Type.String(), Type.Number()], { description: 'Such as 60s; a number is seconds.' }),
        ),
      },
      { additionalProperties: false, title: 'Publish' },
    ),
    { maxItems: entriesMax },
  );
}

export const ticketSchema = Type.Object(
  {
    ticket: Type.String(),
    expiresAt: Type.String({ format: 'date-time', description: 'The time of its expiry.' }),
  },
  { title: 'Ticket' },
);

/** The range of a date in milliseconds. */
const secondsMax = 8.64e12;

function revocation(name: object): TSchema {
  const exp = Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: secondsMax,
      description:
        'When the last of these tokens expires, in seconds since 1970: the server keeps the revocation until then.',
    }),
  );
  const sub = Type.String({ ...name, description: 'All tokens of this subject, issued until now.' });
  const jti = Type.String({ ...name, description: 'The one token with this id.' });
  const strict = { additionalProperties: false };
  return Type.Union([Type.Object({ sub, exp }, strict), Type.Object({ jti, exp }, strict)], {
    title: 'Revocation',
  });
}

/** Exactly one of the two. The name has the limit of tokens, because a longer one could match no token. */
export function revokeBodySchema(nameLengthMax: number): TSchema {
  return revocation({ minLength: 1, maxLength: nameLengthMax });
}

export const revokedSchema = Type.Object({ revoked: revocation({}) });

/** The descriptions of problem documents for these statuses. */
export function problems(...statuses: readonly number[]): Readonly<Record<number, object>> {
  const content = { 'application/problem+json': { schema: problemSchema } };
  return Object.fromEntries(statuses.map((status) => [status, { description: 'Refused', content }]));
}
