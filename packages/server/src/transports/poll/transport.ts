import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import type { HttpFront } from '../../http/front.ts';
import { pollMediaType } from './format.ts';
import type { PollHost } from './limits.ts';
import { Polls } from './session.ts';

/** Polling and long polling: the JSON view of `/channels/<name>` and `/stream`. */
export function createPollTransport(front: HttpFront): Transport {
  return {
    name: 'poll',
    async start(host: PollHost): Promise<void> {
      const polls = new Polls(host);
      front.views.register({
        mediaTypes: [pollMediaType],
        rank: 1,
        answer: (request, reply) => polls.answer(request, reply),
      });
    },
    /** The hub's notice ends waiting polls, and HTTP waits for its responses. */
    async drain(): Promise<void> {},
    get endpoints(): readonly Endpoint[] {
      const url = `${front.url}/channels/<channel>`;
      return [
        { transport: 'poll', url, tryIt: `curl ${front.url}/channels/demo` },
        {
          transport: 'longpoll',
          url: `${url}?wait=30s`,
          tryIt: `curl '${front.url}/channels/demo?wait=30s'`,
        },
      ];
    },
  };
}
