import type { LimitDeclarations, LimitsOf } from '../core/limits.ts';
import type { NetLimits } from '../net/limits.ts';

const kib = 1024;

export const httpLimits = {
  headerBytesMax: {
    default: 16 * kib,
    about: 'HTTP header section (Node answers 431 beyond it) and number of header fields.',
  },
  headerCountMax: { default: 100 },
  urlBytesMax: { default: 16 * kib },
  pipelinedRequestsMax: {
    default: 32,
    about:
      'Requests of one connection that are in progress while an earlier one is unanswered; each could be a long ' +
      'poll. The server reads no more from the connection until one of them is done.',
  },
  bodyBytesPerSecondMin: {
    default: 256,
    about: 'A request body slower than this is answered 408: slow POST.',
  },
  jsonDepthMax: {
    default: 32,
    about: 'Nesting of JSON that the server itself parses. Payloads are never parsed.',
  },
  http2StreamsMax: {
    default: 100,
    about:
      'HTTPS: requests on one HTTP/2 connection at the same time. Each may be a stream, and a browser has ' +
      'one connection.',
  },
} satisfies LimitDeclarations;

export type HttpLimits = NetLimits & LimitsOf<typeof httpLimits>;
