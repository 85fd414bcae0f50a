import type { FastifyReply } from 'fastify';
import { formatCursor, type From } from '@everywire/protocol';
import { isGroupName } from '../../core/groups/name.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { ViewRequest } from '../../http/channel-views.ts';
import { placeOf } from '../../http/read-place.ts';
import { followInOrder } from '../../http/follow-in-order.ts';
import { onHalfClosed } from '../../http/half-closed.ts';
import { inOneShotSession } from '../../core/sessions/one-shot-session.ts';
import {
  cursorsOf,
  etagOf,
  namesAnything,
  pageJson,
  pollFormat,
  pollMediaType,
  preferredWaitMs,
  type PollPage,
} from './format.ts';
import type { PollHost } from './limits.ts';
import { type Arrival, Waiting } from './waiting.ts';

/** A poll. */
interface PollRequest {
  readonly request: ViewRequest;
  readonly session: Session;
  readonly from: From | undefined;
  /** Cursors at which the peer says it is up to date. */
  readonly known: readonly string[];
  readonly messagesMax: number;
  readonly isWaitPreferred: boolean;
  /** The answer to the same request changes: it waits for an event, or has the newest messages. */
  readonly isEvent: boolean;
}

/** The body of an answer: bytes, or a page that is not written yet. */
interface Answer {
  readonly body: string | Buffer;
  readonly cursor: string;
  readonly isGap: boolean;
  /** Whether an earlier answer with the same tag has the same content. */
  readonly mayMatch: boolean;
}

interface ReadablePage extends PollPage {
  readonly mayMatch: boolean;
}

/** Answers polls, one page for each. */
export class Polls {
  readonly #host: PollHost;

  constructor(host: PollHost) {
    this.#host = host;
  }

  async answer(request: ViewRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { limits, hub, clock } = this.#host;
    const { query, headers } = request;
    const preferredMs = preferredWaitMs(headers['prefer'] as string | undefined);
    const waitMs = query.durationMs('wait', limits.waitMsMax) ?? preferredMs;
    const sink = new Waiting();
    const hello = { transport: 'poll', identity: request.identity, ...request.peer };
    const answer = async (session: Session): Promise<FastifyReply> => {
      const from = placeOf(request, clock.nowMs());
      const poll: PollRequest = {
        request,
        session,
        from,
        known: cursorsOf(headers['if-none-match']),
        isEvent: waitMs !== undefined || from === undefined,
        messagesMax: query.count('limit', limits.pageMessagesMax) ?? limits.pageMessagesDefault,
        isWaitPreferred: preferredMs !== undefined && query.one('wait') === undefined,
      };
      if (waitMs === undefined || request.isHead) return this.#answerAtOnce(poll, reply);
      return this.#answerLater(poll, sink, Math.min(waitMs, limits.waitMsMax), reply);
    };
    return inOneShotSession(hub, hello, answer, sink);
  }

  async #answerAtOnce(poll: PollRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { session, request, from, known, messagesMax } = poll;
    // Without a start, the page has the newest messages. It ends at the known cursor as long as no message follows that
    // cursor.
    const [place] = known;
    if (from === undefined && place !== undefined) {
      const isUnchanged = await session.isNewestUnchanged(request.filters, place, messagesMax);
      if (isUnchanged) return notModified(poll, reply, place);
    }
    const page = await readPage(poll, from, messagesMax);
    const exists = page.messages.length > 0 && page.gaps.length === 0;
    if (exists && namesAnything(request.headers['if-none-match']))
      return notModified(poll, reply, page.cursor);
    return send(poll, reply, answerOf(page));
  }

  async #answerLater(
    poll: PollRequest,
    sink: Waiting,
    waitMs: number,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { session, request, known, messagesMax } = poll;
    const { filters } = request;
    const isFromKnown = poll.from === undefined && known.length > 0;
    const from = isFromKnown ? { after: known[0]! } : poll.from;
    const many = filters.length > 1;
    const { hub } = this.#host;
    // Several filters start at one position, and their messages are read in one order.
    let start = many ? (from ?? { after: formatCursor(hub.head) }) : from;
    if (many) {
      const page = await readPage(poll, start, messagesMax);
      if (page.messages.length > 0 || page.gaps.length > 0) return send(poll, reply, answerOf(page));
      start = { after: page.cursor };
    }
    const followed = await followInOrder(session, filters, {
      from: start,
      host: this.#host,
      batches: 1,
      batchMessagesMax: messagesMax,
      // Between two polls a member of a group is away; the group must not end when all of them are.
      keepGroup: true,
    });
    if (followed.place.startGaps.length > 0) {
      return send(poll, reply, answerOf(await readPage(poll, start, messagesMax)));
    }
    followed.start();
    const isBehind = !followed.place.isLive && !isGroupName(filters[0]!);
    const arrival = await this.#wait(sink, waitMs, request);
    switch (arrival.kind) {
      case 'refused':
        throw arrival.error;
      case 'gap': {
        const { gap } = arrival;
        const cursor = formatCursor(gap.next);
        return send(poll, reply, answerOf({ ...nothing, cursor, gaps: [gap] }));
      }
      case 'batch': {
        const { batch } = arrival;
        // A batch is small, and cannot show that more messages exist.
        if (isBehind && batch.end.seq < hub.head.seq) {
          return send(poll, reply, answerOf(await readPage(poll, start, messagesMax)));
        }
        const cursor = formatCursor(batch.end);
        return send(poll, reply, { body: batch.as(pollFormat).bytes, cursor, isGap: false, mayMatch: true });
      }
      case 'nothing': {
        if (isFromKnown) return notModified(poll, reply, known[0]!);
        return send(poll, reply, answerOf({ ...nothing, cursor: followed.place.cursor }));
      }
    }
  }

  async #wait(sink: Waiting, waitMs: number, { raw }: ViewRequest): Promise<Arrival> {
    const giveUp = (): void => sink.giveUp();
    const timer = this.#host.clock.after(waitMs, giveUp);
    // Pipelined polls wait on one socket, so many listeners on it are not a leak.
    raw.socket.setMaxListeners(this.#host.limits.pipelinedRequestsMax * 2);
    raw.socket.once('close', giveUp);
    const stop = onHalfClosed(raw, giveUp);
    if (raw.socket.destroyed) giveUp();
    const arrival = await sink.arrival;
    raw.socket.off('close', giveUp);
    stop();
    timer.cancel();
    return arrival;
  }
}

async function readPage(
  { session, request }: PollRequest,
  from: From | undefined,
  messagesMax: number,
): Promise<ReadablePage> {
  const { messages, through, gaps, more, hasExpired } = await session.read(
    request.filters,
    from,
    messagesMax,
  );
  // An earlier page may have had messages that have expired since; without a fixed start, also trimmed ones.
  const mayMatch = from !== undefined && 'after' in from && !hasExpired;
  return { messages, cursor: formatCursor(through), gaps, more, mayMatch };
}

const nothing = { messages: [], gaps: [], more: false, mayMatch: true };

function answerOf(page: ReadablePage): Answer {
  return { body: pageJson(page), cursor: page.cursor, isGap: page.gaps.length > 0, mayMatch: page.mayMatch };
}

function send(
  poll: PollRequest,
  reply: FastifyReply,
  { body, cursor, isGap, mayMatch }: Answer,
): FastifyReply {
  // A gap is news even to a peer that already names the cursor in the notice (BAD-INPUT 2).
  if (!isGap && mayMatch && poll.known.includes(cursor)) return notModified(poll, reply, cursor);
  return withHeaders(poll, reply, cursor)
    .header('Everywire-Continuity', isGap ? 'gap' : 'exact')
    .type(`${pollMediaType}; charset=utf-8`)
    .send(body);
}

function notModified(poll: PollRequest, reply: FastifyReply, cursor: string): FastifyReply {
  return withHeaders(poll, reply, cursor).header('Everywire-Continuity', 'exact').code(304).send();
}

function withHeaders(poll: PollRequest, reply: FastifyReply, cursor: string): FastifyReply {
  if (poll.isWaitPreferred) reply.header('Preference-Applied', 'wait');
  const { commonHeaders, identity } = poll.request;
  const isPublic = identity.claims === undefined;
  return reply
    .headers(commonHeaders)
    .header('Cache-Control', poll.isEvent ? 'no-store' : isPublic ? 'no-cache' : 'private, no-cache')
    .headers(isPublic ? {} : varying(commonHeaders['Vary']))
    .header('ETag', etagOf(cursor))
    .header('Everywire-Cursor', cursor)
    .header('X-Content-Type-Options', 'nosniff');
}

/**
 * At the same cursor, two readers of a filter may get different messages. A cache must not give the page of one to the
 * other, also not after a 304 (RFC 9111 §4.1).
 */
function varying(vary: string | undefined): Readonly<Record<string, string>> {
  return {
    Vary: [vary, 'Authorization', 'Cookie'].filter((field) => field !== undefined).join(', '),
  };
}
