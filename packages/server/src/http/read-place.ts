import type { IncomingHttpHeaders } from 'node:http';
import { EverywireError, parseCursor, parseFrom, type From } from '@everywire/protocol';
import type { Query } from './query.ts';

/** Polyfills of EventSource put the header into the address, as they cannot set one. */
const lastEventIdNames = ['lastEventId', 'last-event-id', 'Last-Event-ID'] as const;

/** Parameters of reads. Others are ignored, unless they look like a place. */
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

/** How other servers call a place to read from: lower case, letters alone. */
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
 * Refuses a parameter that looks like a place but is not one here: ignoring it would start the reader elsewhere, and it
 * would lose messages in silence.
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
 * `Last-Event-ID`, as a field or a parameter. It wins over `after`: a reader that reconnects asks for the address it began
 * with, and this is newer (HTML §9.2.3). Empty: a browser that has seen no id yet.
 */
export function lastEventIdOf({ headers, query }: ReadRequest): string | undefined {
  const field = headers['last-event-id'];
  // Node joins two fields with a comma, which is no cursor.
  if (field !== undefined && field !== '') return String(field);
  for (const name of lastEventIdNames) {
    const value = query.one(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Where a read begins. @throws EverywireError `invalid`; a cursor is the hub's to check */
export function placeOf(request: ReadRequest, nowMs: number): From | undefined {
  const { query } = request;
  return parseFrom({ after: lastEventIdOf(request) ?? query.one('after'), since: query.one('since') }, nowMs);
}
