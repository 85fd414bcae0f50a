import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { EverywireError, receipt } from '@everywire/protocol';
import { problemOf } from '@everywire/protocol/http';
import type { HttpLimits } from './limits.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import type { PublishResult, Session } from '../core/seams/session-api.ts';
import type { ChannelViews, ViewRequest } from './channel-views.ts';
import { callerOf } from './caller.ts';
import type { CrossOrigin } from './cross-origin.ts';
import { peerOf } from './peer.ts';
import { channelOfTarget, rawQuery } from './percent.ts';
import { entryOfBody, type PublishBody } from './publish-request.ts';
import { jsonOnly } from './parse-body.ts';
import { Query } from './query.ts';
import { checkReadNames } from './read-place.ts';
import type { RawRoute } from './raw-requests.ts';
import {
  deleteDocs,
  listDocs,
  publishDocs,
  publishManyDocs,
  readDocs,
  streamDocs,
  streamManyDocs,
} from './route-docs.ts';
import { publishBodySchema, streamBodySchema, type StreamBody } from './schemas.ts';
import { inOneShotSession } from '../core/sessions/one-shot-session.ts';

export interface ChannelRoutesOptions {
  readonly hub: HubFront;
  readonly limits: HttpLimits;
  readonly views: ChannelViews;
  readonly crossOrigin: CrossOrigin;
  readonly publishRoute: RawRoute;
}

const prefix = '/channels/';
const authenticates = true;
/** The routes of `/channels/<name>`, `/stream` and `/publish` (INTERFACES §3). */
export function addChannelRoutes(app: FastifyInstance, options: ChannelRoutesOptions): void {
  const { limits, views, crossOrigin } = options;

  const inSession = <T>(request: FastifyRequest, use: (session: Session) => Promise<T>): Promise<T> => {
    const hello = { identity: callerOf(request), transport: 'http', ...peerOf(request.raw) };
    return inOneShotSession(options.hub, hello, use);
  };

  const view = async (
    request: FastifyRequest,
    reply: FastifyReply,
    chosen: { readonly filters: readonly string[]; readonly query: Query; readonly fallback?: string },
  ): Promise<unknown> => {
    const { filters, query, fallback } = chosen;
    checkReadNames(query);
    const isEnveloped =
      query.choice('format', ['raw', 'envelope']) === 'envelope' ||
      fallback !== undefined ||
      isFilter(filters);
    const viewRequest: ViewRequest = {
      filters,
      isEnveloped,
      query,
      headers: request.method === 'POST' ? withoutConditions(request.headers) : request.headers,
      identity: callerOf(request),
      peer: peerOf(request.raw),
      isHead: request.method === 'HEAD',
      raw: request.raw,
      commonHeaders: crossOrigin.headersFor(request.raw),
    };
    return views.choose(request.headers.accept, fallback).answer(viewRequest, reply);
  };

  const viewSeveral = (
    request: FastifyRequest,
    reply: FastifyReply,
    { filters, query }: { readonly filters: readonly string[]; readonly query: Query },
  ): Promise<unknown> => {
    const name = request.method === 'POST' ? 'channels' : 'channel';
    if (filters.length === 0) throw badQuery(`Give ${name} at least once.`, `/${name}`);
    if (filters.length > limits.subscriptionsMax) {
      throw badQuery(`One request follows at most ${limits.subscriptionsMax} filters.`, `/${name}`);
    }
    // `wait` asks for a long poll; otherwise this is a stream, unless Accept asks for another view.
    const isPoll = query.one('wait') !== undefined || request.headers['prefer'] !== undefined;
    const fallback = isPoll ? 'application/json' : 'application/x-ndjson';
    return view(request, reply, { filters, query, fallback });
  };

  app.route({
    method: ['GET', 'HEAD'],
    url: `${prefix}*`,
    config: { authenticates, docs: readDocs },
    handler: (request, reply) => {
      const query = new Query(rawQuery(request.url));
      return view(request, reply, { filters: [channelOfTarget(request.url, prefix)], query });
    },
  });

  app.route({
    method: ['GET', 'HEAD'],
    url: '/stream',
    config: { authenticates, docs: streamDocs },
    handler: (request, reply) => {
      const query = new Query(rawQuery(request.url));
      return viewSeveral(request, reply, { filters: [...new Set(query.all('channel'))], query });
    },
  });

  // An address has no room for the names of as many filters as one request may follow.
  app.post(
    '/stream',
    {
      schema: { body: streamBodySchema },
      config: { authenticates, takesJson: true, docs: streamManyDocs },
    },
    (request, reply) => {
      if (request.body === undefined) throw jsonOnly();
      const { channels, ...parameters } = request.body as StreamBody;
      const query = Query.of(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
      return viewSeveral(request, reply, { filters: [...new Set(channels)], query });
    },
  );

  // Only for the OpenAPI description and for `Allow`: PublishRoute handles these requests earlier.
  app.post(`${prefix}*`, { config: { docs: publishDocs } }, ({ raw }, reply) => {
    reply.hijack();
    options.publishRoute.handle(raw, reply.raw);
  });

  app.post(
    '/publish',
    {
      schema: { body: publishBodySchema(limits.publishBatchMax) },
      config: { authenticates, takesJson: true, docs: publishManyDocs },
    },
    (request, reply) =>
      inSession(request, async (session) => {
        if (request.body === undefined) throw jsonOnly();
        const bodies = request.body as readonly PublishBody[];
        const results = await session.publishAll(bodies.map(entryOfBody));
        return reply.header('Cache-Control', 'no-store').send(results.map(resultOf));
      }),
  );

  app.route({
    method: ['GET', 'HEAD'],
    url: '/channels',
    config: { authenticates, docs: listDocs },
    handler: (request, reply) =>
      inSession(request, async (session) => {
        const query = new Query(rawQuery(request.url));
        const limit = query.count('limit', limits.pageMessagesMax) ?? limits.pageMessagesDefault;
        const found = await session.channels(query.one('filter') ?? '**', query.one('after'), limit);
        const channels = found.map(({ channel, offset, epoch, bytes, subscribers }) => ({
          channel,
          offset,
          epoch,
          bytes,
          subscribers,
        }));
        const next = found.length < limit ? undefined : found[found.length - 1]!.channel;
        return reply
          .header('Cache-Control', 'no-store')
          .send({ channels, ...(next === undefined ? {} : { next }) });
      }),
  });

  app.delete(`${prefix}*`, { config: { authenticates, docs: deleteDocs } }, (request, reply) =>
    inSession(request, async (session) => {
      const wasThere = await session.drop(channelOfTarget(request.url, prefix));
      if (!wasThere) throw new EverywireError('not_found', 'The channel does not exist.');
      return reply.code(204).header('Cache-Control', 'no-store').send();
    }),
  );
}

/** Only a GET is answered 304 (RFC 9110 §13.1.2), so the tag of an earlier page has no meaning here. */
function withoutConditions(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return { ...headers, 'if-none-match': undefined };
}

/** Whether messages of several channels may come. */
function isFilter(filters: readonly string[]): boolean {
  return filters.length > 1 || /[*+#]/.test(filters[0]!);
}

function resultOf(result: PublishResult): object {
  return result instanceof EverywireError ? problemOf(result, undefined) : receipt(result);
}

function badQuery(detail: string, pointer: string): EverywireError {
  return new EverywireError('invalid', detail, { httpStatus: 400, pointers: [pointer] });
}
