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
    ['text/event-stream;q=2', sse],
    ['*/json', undefined],
    // A preference that is not understood is not a refusal.
    ['text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2', json],
    ['text/html, */*;q=.8', json],
    ['*', json],
    ['*;q=0.1', json],
    ['nonsense', json],
    [',', json],
    ['text/event-stream;q=.9, application/json;q=.8', sse],
    ['text/event-stream;q=0.12345, application/json;q=0.1', sse],
    ['text/event-stream; q = "0.2", application/json;q=0.1', sse],
    ['text/event-stream;q=high', sse],
    ['text/event-stream;q=0.0000', undefined],
    ['*;q=0', undefined],
    // A named type is meant, and the wildcard behind it is what else would do.
    ['text/event-stream, */*', sse],
    ['application/json, text/plain, */*', json],
  ])('%s', (accept, expected) => {
    expect(negotiate(accept, views)).toBe(expected);
  });
});
