import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { EverywireError } from '@everywire/protocol';
import type { WebhookLimits } from './limits.ts';
import { callerOf } from '../../http/caller.ts';
import { jsonOnly } from '../../http/parse-body.ts';
import { rawQuery } from '../../http/percent.ts';
import { Query } from '../../http/query.ts';
import * as docs from './docs.ts';
import type { WebhookChange, WebhookRegistry, WebhookRequest } from './registry.ts';

const path = '/webhooks';
const noStore = { 'Cache-Control': 'no-store' };

interface Change extends Omit<WebhookChange, 'paused'> {
  readonly paused?: boolean;
  readonly state?: 'paused' | 'active';
}

/** The resource `/webhooks`. */
export function addWebhookRoutes(
  app: FastifyInstance,
  registry: WebhookRegistry,
  limits: WebhookLimits,
): void {
  const authenticates = true;
  const takesJson = true;

  app.post(
    path,
    { schema: { body: docs.createSchema }, config: { authenticates, takesJson, docs: docs.createDocs } },
    async (request, reply) => {
      const identity = callerOf(request);
      const made = await registry.create(identity, bodyOf(request) as WebhookRequest);
      return reply
        .code(201)
        .headers({ ...noStore, Location: `${path}/${made.id}` })
        .send(made);
    },
  );

  app.get(path, { config: { authenticates, docs: docs.listDocs } }, async (request, reply) => {
    const identity = callerOf(request);
    const query = new Query(rawQuery(request.url));
    const limit = query.count('limit', limits.pageMessagesMax) ?? limits.pageMessagesDefault;
    const webhooks = await registry.list(identity, query.one('after'), limit);
    const next = webhooks.length < limit ? {} : { next: webhooks.at(-1)!.id };
    return reply.headers(noStore).send({ webhooks, ...next });
  });

  app.get(`${path}/:id`, { config: { authenticates, docs: docs.showDocs } }, async (request, reply) =>
    reply.headers(noStore).send(await registry.show(callerOf(request), idOf(request))),
  );

  app.patch(
    `${path}/:id`,
    { schema: { body: docs.changeSchema }, config: { authenticates, takesJson, docs: docs.changeDocs } },
    async (request, reply) => {
      const { state, ...change } = bodyOf(request) as Change;
      const paused = state === undefined ? change.paused : state === 'paused';
      if (change.paused !== undefined && paused !== change.paused) {
        throw new EverywireError('invalid', 'paused and state contradict each other.', {
          pointers: ['/state'],
        });
      }
      const identity = callerOf(request);
      return reply
        .headers(noStore)
        .send(await registry.change(identity, idOf(request), { ...change, paused }));
    },
  );

  app.post(
    `${path}/:id/rewind`,
    { schema: { body: docs.rewindSchema }, config: { authenticates, takesJson, docs: docs.rewindDocs } },
    async (request, reply) => {
      const identity = callerOf(request);
      const to = bodyOf(request) as { after?: string; since?: string };
      return reply.headers(noStore).send(await registry.rewind(identity, idOf(request), to));
    },
  );

  app.post(
    `${path}/:id/skip`,
    { schema: { body: docs.skipSchema }, config: { authenticates, takesJson, docs: docs.skipDocs } },
    async (request, reply) => {
      const { channel } = bodyOf(request) as { readonly channel: string };
      return reply.headers(noStore).send(await registry.skip(callerOf(request), idOf(request), channel));
    },
  );

  app.delete(`${path}/:id`, { config: { authenticates, docs: docs.removeDocs } }, async (request, reply) => {
    await registry.remove(callerOf(request), idOf(request));
    return reply.code(204).headers(noStore).send();
  });

  app.post(`${path}/:id/test`, { config: { authenticates, docs: docs.testDocs } }, (request, reply) =>
    sendTest(registry, request, reply),
  );
}

async function sendTest(
  registry: WebhookRegistry,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const attempt = await registry.test(callerOf(request), idOf(request));
  return reply.headers(noStore).send({
    delivered: attempt.kind === 'taken',
    ...(attempt.status === undefined ? {} : { status: attempt.status }),
    ...(attempt.kind === 'failed' ? { error: attempt.reason } : {}),
  });
}

function idOf(request: FastifyRequest): string {
  return (request.params as { readonly id: string }).id;
}

/** The body was checked against the schema; without a Content-Type there was no check. */
function bodyOf(request: FastifyRequest): unknown {
  if (request.body === undefined) throw jsonOnly();
  return request.body;
}
