import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { RouteDocs } from './route-docs.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly docs?: RouteDocs;
  }
}

/** Collects the routes that are added from here on into an OpenAPI 3.1 document, which `app.swagger()` gives. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Everywire',
        version,
        description: 'Publish once; deliver on every wire.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      },
      // Either with or without a token: authentication may be off.
      security: [{ token: [] }, {}],
      tags: [
        { name: 'channels', description: 'Named, ordered, append-only logs.' },
        { name: 'tokens', description: 'While authentication is on.' },
        { name: 'operation', description: 'For operators of the server.' },
      ],
    },
    transform: ({ schema, url, route }) => {
      const docs = route.config?.docs;
      // The schema contains bodies, because the server checks them; the rest is description only.
      if (docs === undefined) return { schema: { hide: true }, url };
      return {
        schema: { ...schema, ...docs },
        url: url.replace('*', ':channel'),
      };
    },
  });
}
