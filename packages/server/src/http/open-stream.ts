import type { FastifyReply } from 'fastify';
import { formatCursor, type From } from '@everywire/protocol';
import type { Session } from '../core/seams/session-api.ts';
import type { Sink } from '../core/seams/sink.ts';
import type { Subscription } from '../core/seams/subscription-api.ts';
import type { ViewRequest } from './channel-views.ts';
import { MergedSource } from './merged-source.ts';
import { sendStreamHead } from './stream-head.ts';
import { StreamedResponse, type StreamedResponses } from './streamed-response.ts';
import { inOneShotSession } from '../transports/parts/one-shot-session.ts';

/**
 * Answers a GET with an endless response, or HEAD with the header fields it would have.
 * @throws EverywireError for a refusal of the hub, before anything has been written
 */
export async function openStream(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  from: From | undefined,
): Promise<void> {
  if (request.isHead) await answerHead(shared, request, reply, from);
  else if (request.filters.length === 1) await openOne(shared, request, reply, from);
  else await openSeveral(shared, request, reply, from);
}

async function openOne(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  from: From | undefined,
): Promise<void> {
  const response = new StreamedResponse(shared, request.isEnveloped);
  const session = openSession(shared, request, response);
  response.readFrom(session);
  const watch = watchForLoss(request, response);
  try {
    const subscription = await session.subscribe(request.filters[0]!, { from });
    response.begin(reply, subscription, {
      cursor: subscription.startCursor,
      gaps: subscription.startGaps,
      commonHeaders: request.commonHeaders,
    });
    subscription.start();
  } catch (refusal) {
    session.end('left');
    throw refusal;
  } finally {
    watch.stop();
  }
}

async function openSeveral(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  from: From | undefined,
): Promise<void> {
  const response = new StreamedResponse(shared, true);
  const merged = new MergedSource(response, shared.clock);
  response.readFrom(merged);
  const watch = watchForLoss(request, response);
  // "From now" is one place for all filters, or what comes between their beginnings would be on one side only.
  const start = from ?? { after: formatCursor(shared.host.hub.head) };
  const subscriptions: Subscription[] = [];
  try {
    for (const filter of request.filters) {
      const subscription = await merged.add(async (sink) => {
        const session = openSession(shared, request, sink);
        try {
          return { session, subscription: await session.subscribe(filter, { from: start }) };
        } catch (refusal) {
          session.end('left');
          throw refusal;
        }
      });
      subscriptions.push(subscription);
    }
  } catch (refusal) {
    merged.end('left');
    throw refusal;
  } finally {
    watch.stop();
  }
  response.begin(reply, merged, {
    cursor: merged.startCursor,
    gaps: subscriptions.flatMap((subscription) => subscription.startGaps),
    commonHeaders: request.commonHeaders,
  });
  merged.start();
}

/** Reads one message's worth: that checks names, rights and the cursor, and leaves nothing behind. */
async function answerHead(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  from: From | undefined,
): Promise<void> {
  const hello = { transport: shared.transport, identity: request.identity, ...request.peer };
  await inOneShotSession(shared.host.hub, hello, async (session) => {
    const start = from ?? { after: formatCursor(shared.host.hub.head) };
    const pages = await Promise.all(request.filters.map((filter) => session.read(filter, start, 1)));
    const gaps = pages.flatMap((page) => page.gaps);
    const cursor = 'after' in start ? start.after : formatCursor(shared.host.hub.head);
    reply.hijack();
    sendStreamHead({ request: request.raw, response: reply.raw }, shared.wire, {
      cursor,
      gaps,
      commonHeaders: request.commonHeaders,
    });
  });
}

function openSession(shared: StreamedResponses, request: ViewRequest, sink: Sink): Session {
  const hello = { transport: shared.transport, ...request.peer };
  return shared.host.hub.open(request.identity, hello, sink);
}

/** Until the response has taken the socket, only the request can tell that the peer is gone. */
function watchForLoss(request: ViewRequest, response: StreamedResponse): { stop(): void } {
  const { socket } = request.raw;
  const lost = (): void => response.cut();
  socket.once('close', lost);
  return { stop: () => socket.off('close', lost) };
}
