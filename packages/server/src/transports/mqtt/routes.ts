import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { EverywireError } from '@everywire/protocol';
import { callerOf } from '../../http/caller.ts';
import { rawQuery } from '../../http/percent.ts';
import { Query } from '../../http/query.ts';
import type { RouteDocs } from '../../http/route-docs.ts';
import { problems } from '../../http/schemas.ts';
import type { MqttHost } from './limits.ts';
import type { Sessions } from './sessions.ts';

const path = '/admin/mqtt-sessions';
const noStore = { 'Cache-Control': 'no-store' };
const tags = ['administration'];

const session = Type.Object(
  {
    id: Type.String({ description: 'Names it in the path.' }),
    client: Type.String({ description: 'The client id.' }),
    subject: Type.Optional(Type.String()),
    open: Type.Boolean({ description: 'Whether a client of this node has it open.' }),
    saved: Type.String({
      format: 'date-time',
      description: 'When it was saved last; for one that is away, when its client left.',
    }),
    expires: Type.Optional(Type.String({ format: 'date-time', description: 'Only of one that is away.' })),
    subscriptions: Type.Array(Type.String()),
    will: Type.Boolean({ description: 'Whether it has a will that is not published yet.' }),
  },
  { title: 'MqttSession' },
);

const listDocs: RouteDocs = {
  summary: 'List the MQTT sessions that are kept',
  tags,
  querystring: Type.Object({
    after: Type.Optional(Type.String({ description: 'An id: lists the sessions after it.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
  }),
  response: {
    200: {
      description: 'A page, in the order of the ids.',
      content: {
        'application/json': {
          schema: Type.Object({
            sessions: Type.Array(session),
            next: Type.Optional(Type.String({ description: 'Ask again with `after` set to this.' })),
          }),
        },
      },
    },
    ...problems(400, 401, 403, 429, 503),
  },
};

const removeDocs: RouteDocs = {
  summary: 'End an MQTT session',
  description:
    'Its client is disconnected, its will is published, and its subscriptions and messages in flight are gone.',
  tags,
  params: Type.Object({ id: Type.String() }),
  response: { 204: { description: 'It has ended.' }, ...problems(401, 403, 404, 429, 503) },
};

/** The sessions that the broker keeps, for administrators. */
export function addSessionRoutes(app: FastifyInstance, sessions: Sessions, { hub, limits }: MqttHost): void {
  const authenticates = true;

  app.get(path, { config: { authenticates, docs: listDocs } }, async (request, reply) => {
    hub.authorizeAdmin(callerOf(request), 'list MQTT sessions');
    const query = new Query(rawQuery(request.url));
    const limit = query.count('limit', limits.pageMessagesMax) ?? limits.pageMessagesDefault;
    const { sessions: listed, next } = await sessions.list(query.one('after'), limit);
    return reply.headers(noStore).send({ sessions: listed, ...(next === undefined ? {} : { next }) });
  });

  app.delete(`${path}/:id`, { config: { authenticates, docs: removeDocs } }, async (request, reply) => {
    hub.authorizeAdmin(callerOf(request), 'end an MQTT session');
    const { id } = request.params as { readonly id: string };
    if (!(await sessions.endSession(id)))
      throw new EverywireError('not_found', 'There is no such MQTT session.');
    return reply.code(204).headers(noStore).send();
  });
}
