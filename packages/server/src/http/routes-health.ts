import type { FastifyInstance } from 'fastify';
import { errorTable, isErrorCode, EverywireError } from '@everywire/protocol';
import type { HubFront } from '../core/seams/hub-api.ts';
import { callerOf } from './caller.ts';
import { livezDocs, metricsDocs, openApiDocs, problemDocs, readyzDocs } from './route-docs.ts';

export interface MetricsPage {
  readonly contentType: string;
  render(): Promise<string>;
}

export interface HealthRoutesOptions {
  readonly hub: HubFront;
  readonly metrics: MetricsPage;
  /** Default: every peer that can reach it. */
  readonly metricsAccess?: 'open' | 'admin' | undefined;
  readonly isDraining: () => boolean;
}

const noStore = { 'Cache-Control': 'no-store' };

/** The routes for operators, load balancers and tools. */
export function addHealthRoutes(app: FastifyInstance, options: HealthRoutesOptions): void {
  const method: ('GET' | 'HEAD')[] = ['GET', 'HEAD'];
  const isForAdmins = options.metricsAccess === 'admin';

  app.route({
    method,
    url: '/livez',
    config: { docs: livezDocs },
    handler: (_request, reply) => reply.headers(noStore).send({ status: 'live' }),
  });

  app.route({
    method,
    url: '/readyz',
    config: { docs: readyzDocs },
    handler: (_request, reply) => {
      const health = options.hub.health();
      const status = options.isDraining() ? 'draining' : health.ok ? 'ready' : 'failing';
      const detail = health.detail === undefined ? {} : { detail: health.detail };
      return reply
        .headers(noStore)
        .code(status === 'ready' ? 200 : 503)
        .send({ status, ...detail });
    },
  });

  app.route({
    method,
    url: '/metrics',
    config: { authenticates: isForAdmins, docs: metricsDocs },
    handler: async (request, reply) => {
      if (isForAdmins) options.hub.authorizeAdmin(callerOf(request), 'read metrics');
      return reply
        .headers(noStore)
        .type(options.metrics.contentType)
        .send(await options.metrics.render());
    },
  });

  app.route({
    method,
    url: '/openapi.json',
    config: { docs: openApiDocs },
    handler: (_request, reply) => reply.header('Cache-Control', 'no-cache').send(app.swagger()),
  });

  // The page that `type` in a problem document refers to (RFC 9457 §3.1.1).
  app.route<{ Params: { code: string } }>({
    method,
    url: '/problems/:code',
    config: { docs: problemDocs },
    handler: (request, reply) => {
      const { code } = request.params;
      if (!isErrorCode(code)) throw new EverywireError('not_found', 'The problem type does not exist.');
      const { title, http, comeBack } = errorTable[code];
      return reply
        .type('text/plain; charset=utf-8')
        .send(`${title}\n\nHTTP status ${http}. Try again: ${comeBack}.\n`);
    },
  });
}
