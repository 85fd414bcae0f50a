import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Identity } from '../core/sessions/access.ts';
import { negotiate } from './accept.ts';
import type { Peer } from './peer.ts';
import { HttpRefusal } from './problem.ts';
import type { Query } from './query.ts';

/** A GET of channels, after the checks that all views share. The hub checks names and cursors. */
export interface ViewRequest {
  /** One filter for `/channels/<name>`; all values of `channel=` for `/stream`. */
  readonly filters: readonly string[];
  /** Every message names its channel: filters with wildcards, several filters, or `format=envelope`. */
  readonly isEnveloped: boolean;
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  readonly identity: Identity;
  readonly peer: Peer;
  /** A HEAD request: only header fields, and no subscription may remain (RFC 9110 §9.3.2). */
  readonly isHead: boolean;
  readonly raw: IncomingMessage;
  /** Fields that every answer to this request carries. */
  readonly commonHeaders: Readonly<Record<string, string>>;
}

/** One representation of the log of channels. Transports register theirs; a disabled transport has none. */
export interface ChannelView {
  /** The answer uses the first type; clients use the others as names for the same view. */
  readonly mediaTypes: readonly string[];
  /** Among equally acceptable views the smallest comes first. */
  readonly rank: number;
  /** Answers with `reply`, or hijacks it. Throws a refusal. */
  answer(request: ViewRequest, reply: FastifyReply): Promise<unknown>;
}

/** The views of `/channels/<name>`, of which content negotiation picks one. */
export class ChannelViews {
  readonly #views: ChannelView[] = [];

  register(view: ChannelView): void {
    this.#views.push(view);
    this.#views.sort((left, right) => left.rank - right.rank);
  }

  /**
   * Chooses the view for an `Accept` field.
   * @param fallback the media type to prefer if the request does not decide
   * @throws EverywireError `unsupported` (406) that names the available types
   */
  choose(accept: string | undefined, fallback?: string): ChannelView {
    const views =
      fallback === undefined
        ? this.#views
        : this.#views.toSorted((left, right) => prefers(right, fallback) - prefers(left, fallback));
    const chosen = negotiate(accept, views, fallback);
    if (chosen !== undefined) return chosen;
    const names = this.#views.map((view) => view.mediaTypes[0]).join(', ');
    throw new HttpRefusal('unsupported', `Available here: ${names}.`, {
      httpStatus: 406,
      headers: { Vary: 'Accept' },
    });
  }
}

function prefers(view: ChannelView, mediaType: string): number {
  return view.mediaTypes.includes(mediaType) ? 1 : 0;
}
