import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { EverywireError } from '@everywire/protocol';
import type { Admission } from '../core/sessions/admission.ts';
import type { Clock, Random } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import type { Log } from '../core/seams/log.ts';
import type { Tokens } from '../core/sessions/access.ts';
import { ChannelViews } from './channel-views.ts';
import { addCallers } from './caller.ts';
import { Callers, type CallersOptions } from './credentials.ts';
import { targetPath } from './head-check.ts';
import type { TlsEnd } from '../net/tls-end.ts';
import type { IsProxy } from '../net/trusted-proxies.ts';
import type { Http2Front } from './http2-front.ts';
import { createNodeServer } from './node-server.ts';
import { answerError } from './errors.ts';
import { AllowedMethods, answerUnknown } from './unknown-paths.ts';
import { addBodyParser } from './parse-body.ts';
import { PublishRoute } from './publish-route.ts';
import { addChannelRoutes } from './routes-channels.ts';
import { addHealthRoutes, type MetricsPage } from './routes-health.ts';
import { addTokenRoutes } from './routes-tokens.ts';
import { addOpenApi } from './openapi.ts';
import type { Origins } from './origin.ts';
import { CrossOrigin } from './cross-origin.ts';
import { RawRequests } from './raw-requests.ts';
import { UpgradeRouter } from './upgrades.ts';

export interface HttpFrontOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: HttpLimits;
  readonly hub: HubFront;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The content of `/metrics`. */
  readonly metrics: MetricsPage;
  /** Origins whose pages may use this server; absent: no page of another origin may. */
  readonly allowedOrigins?: Origins | undefined;
  /** How long an idle connection is kept, in seconds. */
  readonly keepAlive?: number | undefined;
  /** Names of this server in `Host`; absent: any. */
  readonly isHost?: ((host: string) => boolean) | undefined;
  /** Given while authentication is on. */
  readonly tokens?: Tokens | undefined;
  /** The name of the cookie that may carry a token; absent: the server ignores cookies. */
  readonly cookie?: string | undefined;
  readonly certificateOf?: CallersOptions['certificateOf'];
  /** Access to `/metrics`; default: every peer that can reach it. */
  readonly metricsAccess?: 'open' | 'admin' | undefined;
  /** Absent: clear text. */
  readonly tls?: TlsEnd | undefined;
  /** Decides about each connection; absent: the server accepts all. */
  readonly admission?: Admission | undefined;
  /** The proxies whose `X-Forwarded-For` the server trusts; absent: none. */
  readonly isProxy?: IsProxy | undefined;
  readonly version: string;
}

/** The common part of the HTTP port. Transports register on it before it listens. */
export interface HttpFront {
  readonly views: ChannelViews;
  readonly upgrades: UpgradeRouter;
  /** Requests that transports answer by themselves. */
  readonly requests: RawRequests;
  /** Authenticates requests. */
  readonly callers: Callers;
  /** The URL of the server, once it listens. */
  readonly url: string;
  /** Serves a fixed document, such as the page at `/`. Only before `listen()`. */
  page(
    path: string,
    contentType: string,
    body: string | Buffer,
    headers?: Readonly<Record<string, string>>,
  ): void;
  /** Adds routes of a transport's own resource, with the front's bodies and problems. Only before `listen()`. */
  extend(register: (app: FastifyInstance) => void): void;
  /** Starts to listen. @throws Error that names the address, if it is taken or not permitted */
  listen(): Promise<void>;
  /** From here on `/readyz` fails, and the server refuses all other requests with 503. */
  drain(): void;
  /** Stops listening and closes idle connections; cuts the remaining requests after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

/** How long unfinished answers may take when the front closes. */
const closeGraceMs = 2_000;

/** Paths that answer while the node drains: an operator watches the drain with them. */
const servedWhileDraining: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics']);

export async function createHttpFront(options: HttpFrontOptions): Promise<HttpFront> {
  const { limits, hub } = options;
  const views = new ChannelViews();
  const upgrades = new UpgradeRouter();
  const requests = new RawRequests();
  const allowed = new AllowedMethods();
  const callers = new Callers(options);
  const crossOrigin = new CrossOrigin(options.allowedOrigins, callers);
  let isDraining = false;
  let isListening = false;
  const refusalOf = (path: string): EverywireError | undefined =>
    (isDraining || hub.isDraining) && !servedWhileDraining.has(path)
      ? new EverywireError(
          'going_away',
          'The server is shutting down. Try another node, or wait for the restart.',
        )
      : undefined;
  const http2Fronts: Http2Front[] = [];
  const app: FastifyInstance = fastify({
    logger: false,
    // Our own refusal comes first (see createNodeServer), and is a problem document.
    return503OnClosing: false,
    clientErrorHandler: () => undefined,
    exposeHeadRoutes: false,
    bodyLimit: Number.MAX_SAFE_INTEGER,
    rewriteUrl: (request) => targetPath(request.url ?? '/'),
    // The channel comes from the raw target, so the router must not limit its length or encoding.
    routerOptions: { maxParamLength: limits.urlBytesMax },
    // Hooks do not run for these.
    frameworkErrors: (error, request, reply) =>
      void answerError(error, request, reply.headers(crossOrigin.fieldsOf(request.raw)), options),
    ajv: {
      customOptions: { allErrors: true, coerceTypes: false, removeAdditional: false, useDefaults: false },
    },
    serverFactory: (handler) => {
      const { server, http2 } = createNodeServer(handler, {
        ...options,
        keepAliveMs: options.keepAlive === undefined ? undefined : options.keepAlive * 1_000,
        upgrades,
        requests,
        refusalOf,
        fieldsOf: (request) => crossOrigin.fieldsOf(request),
      });
      if (http2 !== undefined) http2Fronts.push(http2);
      return server;
    },
  });
  app.addHook('onRoute', (route) => allowed.add(route.url, route.method));
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options));
  answerUnknown(app, { allowed, upgrades });
  addBodyParser(app, options);
  // Runs first, so that a page of a listed origin can read refusals too.
  app.addHook('onRequest', async ({ raw }, reply) => {
    reply.headers(raw.method === 'OPTIONS' ? crossOrigin.preflight(raw) : crossOrigin.headersFor(raw));
  });
  addCallers(app, callers);
  await addOpenApi(app, options.version);
  const publishRoute = new PublishRoute({ ...options, callers, crossOrigin });
  requests.add(publishRoute);
  addChannelRoutes(app, { ...options, views, crossOrigin, publishRoute });
  addTokenRoutes(app, options);
  addHealthRoutes(app, { ...options, isDraining: () => isDraining || hub.isDraining });
  return {
    views,
    upgrades,
    requests,
    callers,
    get url() {
      if (!isListening) return '';
      const { address, port, family } = app.server.address() as AddressInfo;
      const scheme = options.tls === undefined ? 'http' : 'https';
      return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    },
    page(path, contentType, body, headers = {}) {
      app.route({
        method: ['GET', 'HEAD'],
        url: path,
        schema: { hide: true },
        handler: ({ headers: asked }, reply) => {
          reply
            .header('Cache-Control', 'no-cache')
            .header('X-Content-Type-Options', 'nosniff')
            .headers(headers);
          // RFC 9110 §13.1.2: the page exists.
          return asked['if-none-match']?.trim() === '*'
            ? reply.code(304).send()
            : reply.type(contentType).send(body);
        },
      });
    },
    extend(register) {
      register(app);
    },
    async listen() {
      await app.listen({ host: options.host, port: options.port });
      isListening = true;
    },
    drain() {
      isDraining = true;
      app.server.closeIdleConnections();
      for (const http2 of http2Fronts) http2.closeIdle();
    },
    async close(graceMs = closeGraceMs) {
      isDraining = true;
      for (const http2 of http2Fronts) http2.closeAll();
      const cut = options.clock.after(graceMs, () => {
        app.server.closeAllConnections();
        for (const http2 of http2Fronts) http2.destroyAll();
      });
      await app.close();
      cut.cancel();
    },
  };
}
