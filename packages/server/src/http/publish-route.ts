import type { IncomingMessage, ServerResponse } from 'node:http';
import { receipt } from '@everywire/protocol';
import { cloudEventDraft } from '@everywire/wires/webhook';
import type { Clock } from '../core/clock.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import type { Log } from '../core/seams/log.ts';
import type { Published } from '../core/seams/session-api.ts';
import { inOneShotSession } from '../core/sessions/one-shot-session.ts';
import { readBody } from './body.ts';
import type { Callers } from './credentials.ts';
import type { CrossOrigin } from './cross-origin.ts';
import { answerRawError, unreadableType } from './errors.ts';
import type { HttpLimits } from './limits.ts';
import { peerOf } from './peer.ts';
import { channelOfTarget } from './percent.ts';
import { draftOfRequest } from './publish-request.ts';
import type { RawRoute } from './raw-requests.ts';
import { bodyBytesMax, targetPath } from './head-check.ts';

export interface PublishRouteOptions {
  readonly hub: HubFront;
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly callers: Callers;
  readonly crossOrigin: CrossOrigin;
}

const prefix = '/channels/';
/** RFC 9110 §8.3.1, as far as needed to recognise a media type. */
const mediaType = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/;

/**
 * `POST /channels/<name>` without Fastify: its hooks, parsers and serializers cost more than the publish itself, and
 * backends send thousands of these requests a second.
 */
export class PublishRoute implements RawRoute {
  readonly bodyBytesMax = undefined;
  readonly #options: PublishRouteOptions;

  constructor(options: PublishRouteOptions) {
    this.#options = options;
  }

  readonly matches = (path: string, method: string): boolean => method === 'POST' && path.startsWith(prefix);

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    void this.#answer(request, response);
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let fields: Readonly<Record<string, string>> = {};
    try {
      // Runs first, so that a page of a listed origin can read refusals too.
      fields = this.#options.crossOrigin.headersFor(request);
      const published = await this.#publish(request);
      // Meanwhile the connection may have ended, or the server may have refused another request on it.
      if (response.destroyed) return;
      // As text, because Node sends text in one write with the head.
      const body = JSON.stringify(receipt(published));
      response.writeHead(published.duplicate ? 200 : 201, {
        ...fields,
        'Cache-Control': 'no-store',
        'Content-Type': 'application/json; charset=utf-8',
        'Content-Length': Buffer.byteLength(body),
      });
      response.end(body);
    } catch (thrown) {
      answerRawError(thrown, request, response, this.#options, fields);
    }
  }

  async #publish(request: IncomingMessage): Promise<Published> {
    const { hub, limits, clock, callers } = this.#options;
    const identity = await callers.authenticate(request);
    const type = request.headers['content-type'];
    if (type !== undefined && !mediaType.test(type)) throw unreadableType();
    const payload = await readBody(request, { bytesMax: bodyBytesMax(request, limits), limits, clock });
    const channel = channelOfTarget(targetPath(request.url ?? ''), prefix);
    const draft = draftOfRequest(request, payload);
    const event = cloudEventDraft(request.headers, payload, limits);
    return inOneShotSession(hub, { identity, transport: 'http', ...peerOf(request) }, (session) =>
      session.publish(
        channel,
        // Our header fields can say more than the event.
        event === undefined ? draft : { ...draft, ...event, key: draft.key ?? event.key },
      ),
    );
  }
}
