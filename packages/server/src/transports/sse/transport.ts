import { parseCursor } from '@everywire/protocol';
import { sseMediaType } from '@everywire/protocol/http';
import type { Endpoint, Host, Transport } from '../../core/seams/transport.ts';
import type { ViewRequest } from '../../http/channel-views.ts';
import type { HttpFront } from '../../http/front.ts';
import { lastEventIdOf, placeOf } from '../../http/read-place.ts';
import { openStream, type StreamPlaceAsked } from '../../http/open-stream.ts';
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
        answer: (request, reply) =>
          openStream(shared, request, reply, placeOfEvents(request, host.clock.nowMs())),
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
 * An id that no server of ours gave, such as one of the server that had this address before, can never be answered
 * exactly. An EventSource that gets 400 for it is dead for ever, so it reads on from now and gets a gap.
 */
function placeOfEvents(request: ViewRequest, nowMs: number): StreamPlaceAsked {
  const lastEventId = lastEventIdOf(request);
  const isUnknown = lastEventId !== undefined && parseCursor(lastEventId) === undefined;
  return isUnknown ? { from: undefined, isUnknown } : { from: placeOf(request, nowMs) };
}
