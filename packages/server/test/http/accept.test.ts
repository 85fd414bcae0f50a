import { describe, expect, it } from 'vitest';
import { negotiate } from '../../src/http/accept.ts';

const json = { mediaTypes: ['application/json'] };
const ndjson = { mediaTypes: ['application/x-ndjson', 'application/jsonl'] };
const sse = { mediaTypes: ['text/event-stream'] };
const views = [json, ndjson, sse];

describe('content negotiation (RFC 9110 §12.5.1)', () => {
  it.each([
    [undefined, json],
    ['', json],
    ['*/*', json],
    ['text/event-stream', sse],
    ['TEXT/Event-Stream', sse],
    ['application/jsonl', ndjson],
    ['text/*', sse],
    ['application/*;q=0.1, text/event-stream;q=0.2', sse],
    ['text/event-stream;q=0.5, application/json;q=0.4, */*;q=0.1', sse],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', json],
    ['application/json;q=0, */*', ndjson],
    ['nonsense, text/event-stream', sse],
    ['text/event-stream; charset=utf-8', sse],
    ['text/event-stream;q=0', undefined],
    ['application/json, text/html;q=0', json],
    ['image/png', undefined],
    ['text/event-stream;q=2', undefined],
    ['*/json', undefined],
  ])('%s', (accept, expected) => {
    expect(negotiate(accept, views)).toBe(expected);
  });
});
