import type { FastifyReply } from 'fastify';
import { formatCursor, parseCursor, type From } from '@everywire/protocol';
import type { Session } from '../core/seams/session-api.ts';
import type { Sink } from '../core/seams/sink.ts';
import type { Gap } from '../core/seams/store.ts';
import type { ViewRequest } from './channel-views.ts';
import { followInOrder } from './follow-in-order.ts';
import { whenFirst } from './request-queue.ts';
import { sendStreamHead } from './stream-head.ts';
import { StreamedResponse, type StreamedResponses } from './streamed-response.ts';
import { inOneShotSession } from '../core/sessions/one-shot-session.ts';

/** The start that a reader asked for. */
export interface StreamPlaceAsked {
  readonly from: From | undefined;
  /** Its id is not from an Everywire server: the reader starts now, and gets a gap. */
  readonly isUnknown?: boolean;
}

/**
 * Answers GET with an endless response, and HEAD with the same header fields.
 * @throws EverywireError for a refusal of the hub, before any byte was written
 */
export async function openStream(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  place: StreamPlaceAsked,
): Promise<void> {
  if (request.isHead) await answerHead(shared, request, reply, place);
  else await follow(shared, request, reply, place);
}

async function follow(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  { from, isUnknown = false }: StreamPlaceAsked,
): Promise<void> {
  // The body takes over the connection, so earlier answers must be sent first.
  await whenFirst(reply.raw);
  const { filters } = request;
  const response = new StreamedResponse(shared, request.isEnveloped || filters.length > 1);
  const session = openSession(shared, request, response);
  response.readFrom(session);
  const watch = watchForLoss(request, response);
  try {
    const followed = await followInOrder(session, filters, { from, host: shared.host });
    const { cursor, startGaps } = followed.place;
    const gaps = isUnknown ? unknownGaps(filters, cursor) : startGaps;
    const { commonHeaders } = request;
    response.begin(reply, followed.place, { cursor, gaps, commonHeaders, isPassing: isPassing(from) });
    followed.start();
  } catch (refusal) {
    session.end();
    throw refusal;
  } finally {
    watch.stop();
  }
}

/** Reads one message: this checks names, rights and the cursor, and leaves no subscription behind. */
async function answerHead(
  shared: StreamedResponses,
  request: ViewRequest,
  reply: FastifyReply,
  { from, isUnknown = false }: StreamPlaceAsked,
): Promise<void> {
  const hello = { transport: shared.transport, identity: request.identity, ...request.peer };
  await inOneShotSession(shared.host.hub, hello, async (session) => {
    const start = from ?? { after: formatCursor(shared.host.hub.head) };
    const pages = await Promise.all(request.filters.map((filter) => session.read(filter, start, 1)));
    const cursor = 'after' in start ? start.after : formatCursor(shared.host.hub.head);
    const gaps = isUnknown ? unknownGaps(request.filters, cursor) : pages.flatMap((page) => page.gaps);
    reply.hijack();
    sendStreamHead({ request: request.raw, response: reply.raw }, shared.wire, {
      cursor,
      gaps,
      commonHeaders: request.commonHeaders,
    });
  });
}

function unknownGaps(filters: readonly string[], cursor: string): readonly Gap[] {
  return filters.map((channel) => ({ channel, reason: 'unknown', next: parseCursor(cursor)! }));
}

/** Whether the same request would start at another position later. */
function isPassing(from: From | undefined): boolean {
  return from === undefined || ('since' in from && from.since.kind !== 'earliest');
}

function openSession(shared: StreamedResponses, request: ViewRequest, sink: Sink): Session {
  const hello = { transport: shared.transport, ...request.peer };
  return shared.host.hub.open(request.identity, hello, sink);
}

/** Before the response has taken the socket, only the request shows that the peer is gone. */
function watchForLoss(request: ViewRequest, response: StreamedResponse): { stop(): void } {
  const { socket } = request.raw;
  const lost = (): void => response.cut();
  socket.once('close', lost);
  return { stop: () => socket.off('close', lost) };
}
