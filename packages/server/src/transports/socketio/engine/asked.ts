import type { IncomingMessage } from 'node:http';
import { rawQuery } from '../../../http/percent.ts';
import { Query } from '../../../http/query.ts';
import { refusals, type Refusal } from './refusals.ts';

/** A request to the engine. */
export interface Asked {
  readonly transport: 'polling' | 'websocket';
  readonly sid: string | undefined;
}

/** Reads the query of a request. @throws EverywireError for an invalid query */
export function readAsked(request: IncomingMessage): Asked | Refusal {
  const query = new Query(rawQuery(request.url ?? ''));
  const transport = query.one('transport');
  const sid = query.one('sid');
  if (transport !== 'polling' && transport !== 'websocket') return refusals.unknownTransport;
  // JSONP would let any page read the answer.
  if (query.all('j').length > 0) return refusals.badRequest;
  if (query.one('EIO') !== '4') return sid === undefined ? refusals.unsupportedVersion : refusals.badRequest;
  return { transport, sid };
}
