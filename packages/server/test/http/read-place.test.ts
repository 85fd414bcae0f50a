import { describe, expect, it } from 'vitest';
import { Query } from '../../src/http/query.ts';
import { checkReadNames, lastEventIdOf, placeOf } from '../../src/http/read-place.ts';

const a = '1abcdef.7.0123456789abcdef';
const b = '1abcdef.8.0123456789abcdef';
const from = (query: string, field?: string): unknown =>
  placeOf({ headers: field === undefined ? {} : { 'last-event-id': field }, query: new Query(query) }, 1_000);

describe('the place of a read', () => {
  it.each([
    ['', undefined, undefined],
    ['after=&since=&lastEventId=', '', undefined],
    [`after=${a}`, undefined, { after: a }],
    [`after=&since=earliest`, undefined, { since: { kind: 'earliest' } }],
    [`after=${a}`, b, { after: b }],
    [`after=${a}`, '', { after: a }],
    [`after=${a}&lastEventId=${b}`, undefined, { after: b }],
    [`last-event-id=${b}`, undefined, { after: b }],
    [`Last-Event-ID=${b}&since=earliest`, undefined, { after: b }],
    [`lastEventId=${a}`, b, { after: b }],
    ['since=2026-01-01T09:00:00+09:00', undefined, { since: { kind: 'time', timeMs: 1_767_225_600_000 } }],
    ['since=2026-01-01T09:00:00%2B09:00', undefined, { since: { kind: 'time', timeMs: 1_767_225_600_000 } }],
  ])('%s with Last-Event-ID %s', (query, field, expected) => {
    expect(from(query, field)).toEqual(expected);
  });

  it('is not guessed from two names', () => {
    const twice = new Query(`lastEventId=${a}&lastEventId=${b}`);
    expect(() => lastEventIdOf({ headers: {}, query: twice })).toThrow(/more than once/);
  });
});

describe('a parameter that looks like a place', () => {
  it.each([
    'cursor=x',
    'offset=5',
    'from=1',
    'start_at=0',
    'startFrom=2026-01-01',
    'lasteventid=5',
    'last_event_id=5',
    'LastId=5',
    'since_id=9',
    'After=x',
    'SINCE=earliest',
    'before=x',
    'seq=1',
    'resume=true',
    `whatever=${a}`,
  ])('%s is refused, and the answer says what to write', (query) => {
    expect(() => checkReadNames(new Query(query))).toThrow(/after=<cursor> or since=/);
  });

  it.each([
    '',
    'after=x&since=y&limit=5&wait=1s&format=raw&channel=a',
    '_=173',
    'utm_source=x',
    'v=2',
    'token=x',
  ])('%s does not', (query) => {
    expect(() => checkReadNames(new Query(query))).not.toThrow();
  });
});

describe('a filter in a query', () => {
  it.each([
    'channel=room/+',
    'channel=room/%20',
    'channel=room/%20%20/a',
    'filter=+',
    'channel=a+b',
    'channel=%20',
  ])('%s is refused with the escape that was meant', (query) => {
    expect(() => new Query(query)).toThrow(/%2B/);
  });

  it.each([
    ['channel=room/%2B', 'room/+'],
    ['channel=room/*', 'room/*'],
    ['channel=a%20b/c', 'a b/c'],
    ['channel=a//b', 'a//b'],
    ['channel=/a/', '/a/'],
  ])('%s is %s', (query, filter) => {
    expect(new Query(query).all('channel')).toEqual([filter]);
  });

  it('is not the + of other parameters', () => {
    expect(new Query('format=a+b').one('format')).toBe('a b');
  });
});
