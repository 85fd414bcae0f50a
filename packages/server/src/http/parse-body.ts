import type { FastifyInstance, FastifyRequest } from 'fastify';
import { EverywireError, JsonFault } from '@everywire/protocol';
import type { Clock } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import { readBody } from './body.ts';
import { bodyBytesMax } from './head-check.ts';
import { parseJsonBytes } from './json-bytes.ts';
import { HttpRefusal } from './problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the server itself reads the body as JSON, and parses it strictly; otherwise the body stays bytes. */
    readonly takesJson?: boolean;
  }
}

const jsonType = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

/** Reads all bodies of any type with our own parser. */
export function addBodyParser(
  app: FastifyInstance,
  { limits, clock }: { readonly limits: HttpLimits; readonly clock: Clock },
): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (request: FastifyRequest) => {
    const { takesJson } = request.routeOptions.config;
    if (takesJson === true && !jsonType.test(request.headers['content-type'] ?? '')) throw jsonOnly();
    const bytes = await readBody(request.raw, { bytesMax: bodyBytesMax(request.raw, limits), limits, clock });
    return takesJson === true ? parseControlJson(bytes, limits) : bytes;
  });
}

/** RFC 9110 §15.5.16: names the accepted type. */
export function jsonOnly(): HttpRefusal {
  return new HttpRefusal('unsupported', 'The body must be JSON with Content-Type application/json.', {
    headers: { 'Accept-Post': 'application/json' },
  });
}

function parseControlJson(bytes: Buffer, { jsonDepthMax }: HttpLimits): unknown {
  const parsed = parseJsonBytes(bytes, {
    depthMax: jsonDepthMax,
    // The payload of a message stays unchanged: [{"data": …}].
    isRaw: (name, depth) => name === 'data' && depth === 2,
  });
  if (parsed instanceof JsonFault) {
    throw new EverywireError('malformed', `${parsed.detail} (at character ${parsed.at})`);
  }
  return parsed;
}
