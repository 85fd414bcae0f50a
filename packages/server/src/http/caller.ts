import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Identity } from '../core/sessions/access.ts';
import type { Callers } from './credentials.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The server authenticates before it reads the body, which may be a thousand times larger than the head. */
    readonly authenticates?: boolean;
  }
  interface FastifyRequest {
    caller: Identity | undefined;
  }
}

/** Authenticates the requests of all routes whose `config` asks for it. */
export function addCallers(app: FastifyInstance, callers: Callers): void {
  app.decorateRequest('caller', undefined);
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.authenticates === true)
      request.caller = await callers.authenticate(request.raw);
  });
}

/** The caller, in the handler of a route that `authenticates`. */
export function callerOf({ caller, routeOptions }: FastifyRequest): Identity {
  if (caller === undefined) throw new Error(`the route ${routeOptions.url} does not authenticate`);
  return caller;
}
