import { parseFrom, type From } from '@everywire/protocol';
import { sseMediaType } from '@everywire/protocol/http';
import type { Endpoint, Host, Transport } from '../../core/seams/transport.ts';
import type { ViewRequest } from '../../http/channel-views.ts';
import type { HttpFront } from '../../http/front.ts';
import { openStream } from '../../http/open-stream.ts';
import { StreamedResponses } from '../../http/streamed-response.ts';
import { sseWire } from './format.ts';
import type { HttpLimits } from '../../http/limits.ts';

/** Server-Sent Events: a view of `/channels/<name>` and `/stream` (HTML §9.2). */
export function createSseTransport(front: HttpFront): Transport {
  let responses: StreamedResponses | undefined;
  return {
    name: 'sse',
    async start(host: Host<HttpLimits>): Promise<void> {
      const shared = new StreamedResponses('sse', sseWire, host);
      responses = shared;
      front.views.register({
        mediaTypes: [sseMediaType],
        rank: 3,
        answer: (request, reply) => openStream(shared, request, reply, fromOf(request, host.clock.nowMs())),
      });
    },
    async drain(deadline: AbortSignal): Promise<void> {
      await responses?.drain(deadline);
    },
    get endpoints(): readonly Endpoint[] {
      const url = `${front.url}/channels/<channel>`;
      const tryIt = `curl -N -H 'Accept: text/event-stream' ${front.url}/channels/demo`;
      return [{ transport: 'sse', url, tryIt }];
    },
  };
}

/**
 * `Last-Event-ID` wins over `after`: a browser that reconnects asks for the URL it began with, and the header is newer
 * (HTML §9.2.3).
 */
function fromOf({ headers, query }: ViewRequest, nowMs: number): From | undefined {
  const lastEventId = headers['last-event-id'];
  // Node joins two fields with a comma, which is no cursor.
  if (lastEventId !== undefined) return { after: String(lastEventId) };
  return parseFrom({ after: query.one('after'), since: query.one('since') }, nowMs);
}
