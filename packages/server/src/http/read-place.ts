import type { IncomingHttpHeaders } from 'node:http';
import { EverywireError, parseCursor, parseFrom, type From } from '@everywire/protocol';
import type { Query } from './query.ts';

/** Polyfills of EventSource cannot set the header, so they put it into the address. */
const lastEventIdNames = ['lastEventId', 'last-event-id', 'Last-Event-ID'] as const;

/** Parameters of reads. The server ignores others, unless they look like a start position. */
const readNames: ReadonlySet<string> = new Set([
  'channel',
  'after',
  'since',
  'limit',
  'wait',
  'format',
  'type',
  'ticket',
  ...lastEventIdNames,
]);

/** Names of a start position in other servers: lower case, letters only. */
const placeNames: ReadonlySet<string> = new Set(
  (
    'after aftercursor afterid afteroffset afterseq before begin cursor eventid from fromcursor fromid fromoffset ' +
    'fromseq history lastcursor lasteventid lastid lastmessageid lastoffset lastseen lastseq offset place pos position ' +
    'replay resume resumefrom rewind seq sequence since sinceid start startafter startat startfrom startid startingafter ' +
    'startoffset startseq'
  ).split(' '),
);

export interface ReadRequest {
  readonly headers: IncomingHttpHeaders;
  readonly query: Query;
}

/**
 * Refuses a parameter that looks like a start position but is unknown here. If the server ignored it, the reader would
 * start at another position and silently lose messages.
 * @throws EverywireError `invalid` (400)
 */
export function checkReadNames(query: Query): void {
  for (const name of query.names) {
    if (readNames.has(name)) continue;
    const isPlace =
      placeNames.has(name.toLowerCase().replace(/[^a-z]/g, '')) ||
      query.all(name).some((value) => parseCursor(value) !== undefined);
    if (!isPlace) continue;
    throw new EverywireError(
      'invalid',
      `${name} is not a parameter of a read. Give the place as after=<cursor> or since=.`,
      { httpStatus: 400, pointers: [`/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`] },
    );
  }
}

/**
 * `Last-Event-ID`, as a field or a parameter. It wins over `after`: a reader reconnects with its first URL, and this
 * value is newer (HTML §9.2.3). Empty: a browser that has seen no id yet.
 */
export function lastEventIdOf({ headers, query }: ReadRequest): string | undefined {
  const field = headers['last-event-id'];
  // Node joins two fields with a comma, and the result is not a cursor.
  if (field !== undefined && field !== '') return String(field);
  for (const name of lastEventIdNames) {
    const value = query.one(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The start of a read. The hub checks a cursor. @throws EverywireError `invalid` */
export function placeOf(request: ReadRequest, nowMs: number): From | undefined {
  const { query } = request;
  return parseFrom({ after: lastEventIdOf(request) ?? query.one('after'), since: query.one('since') }, nowMs);
}
