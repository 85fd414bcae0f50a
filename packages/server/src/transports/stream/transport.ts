import { ndjsonMediaTypes } from '@everywire/protocol/http';
import type { Endpoint, Host, Transport } from '../../core/seams/transport.ts';
import type { HttpFront } from '../../http/front.ts';
import { placeOf } from '../../http/read-place.ts';
import { openStream } from '../../http/open-stream.ts';
import { StreamedResponses } from '../../http/streamed-response.ts';
import { ndjsonWire } from './format.ts';
import type { HttpLimits } from '../../http/limits.ts';

/** HTTP streaming: a view of `/channels/<name>` and `/stream`, one JSON envelope a line. */
export function createStreamTransport(front: HttpFront): Transport {
  let responses: StreamedResponses | undefined;
  return {
    name: 'stream',
    async start(host: Host<HttpLimits>): Promise<void> {
      const shared = new StreamedResponses('stream', ndjsonWire, host);
      responses = shared;
      front.views.register({
        mediaTypes: ndjsonMediaTypes,
        rank: 2,
        answer(request, reply) {
          return openStream(shared, request, reply, { from: placeOf(request, host.clock.nowMs()) });
        },
      });
    },
    async drain(deadline: AbortSignal): Promise<void> {
      await responses?.drain(deadline);
    },
    get endpoints(): readonly Endpoint[] {
      const url = `${front.url}/channels/<channel>`;
      const tryIt = `curl -N -H 'Accept: application/x-ndjson' ${front.url}/channels/demo`;
      return [{ transport: 'stream', url, tryIt }];
    },
  };
}
