import { describe, expect, it } from 'vitest';
import { checkDraft } from '../../../src/core/log/drafts.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { PublishDraft } from '../../../src/core/seams/session-api.ts';

const stamp = { id: 'ID', nowMs: 1_000, from: 'user-1' };
const check = (draft: Partial<PublishDraft>) =>
  checkDraft({ payload: Buffer.from('x'), ...draft }, stamp, defaultLimits);
const refused = (draft: Partial<PublishDraft>, code: string) =>
  expect(() => check(draft)).toThrow(expect.objectContaining({ code }) as Error);

describe('draft', () => {
  it('keeps what was given and adds what the server knows', () => {
    expect(
      check({ type: 'text/plain; charset=utf-8', event: 'e', key: 'k', ttlMs: 60_000, retain: true }),
    ).toMatchObject({
      id: 'ID',
      timeMs: 1_000,
      from: 'user-1',
      type: 'text/plain; charset=utf-8',
      event: 'e',
      key: 'k',
      retain: true,
      expiresAtMs: 61_000,
    });
    expect(check({}).type).toBe('text/plain; charset=utf-8');
    expect(check({ payload: Buffer.from([0xff]) }).type).toBe('application/octet-stream');
    expect(check({ payload: Buffer.from('[1]') }).type).toBe('application/json');
  });

  it('holds the payload to the limit, and to JSON when it says so', () => {
    expect(check({ payload: Buffer.alloc(defaultLimits.payloadBytesMax) }).payload.length).toBe(
      defaultLimits.payloadBytesMax,
    );
    refused({ payload: Buffer.alloc(defaultLimits.payloadBytesMax + 1) }, 'too_large');
    const json = (payload: Buffer | string) => ({ type: 'application/json', payload: Buffer.from(payload) });
    expect(check(json(' {"a":1,"a":1e400} ')).payload.toString()).toBe(' {"a":1,"a":1e400} ');
    for (const bad of ['', '{', "{'a':1}", '\ufeff{}', Buffer.from([0x22, 0xff, 0x22])])
      refused(json(bad), 'malformed');
    refused({ type: 'application/ld+json', payload: Buffer.from('no') }, 'malformed');
  });

  it('lets an empty payload remove a retained message of any type', () => {
    expect(check({ type: 'application/json', payload: Buffer.alloc(0), retain: true }).payload.length).toBe(
      0,
    );
  });

  it.each([
    [{ type: 'nonsense' }],
    [{ type: 'a/b\r\nx: y' }],
    [{ type: `a/${'b'.repeat(300)}` }],
    [{ event: 'a\nb' }],
    [{ event: 'everywire.gap' }],
    [{ event: 'e'.repeat(256) }],
    [{ key: '' }],
    [{ key: 'a\u0000' }],
    [{ key: '\ud800' }],
    [{ ttlMs: 0 }],
    [{ ttlMs: -1 }],
    [{ ttlMs: Number.NaN }],
    [{ ttlMs: Number.POSITIVE_INFINITY }],
    [{ headers: new Map([['a', 'b\nc']]) }],
    [{ headers: new Map([['', 'x']]) }],
  ])('refuses %j', (draft) => refused(draft, 'invalid'));

  it('drops header names that belong to the server, in any case, and bounds the rest', () => {
    expect(
      check({
        headers: new Map([
          ['Everywire-Cursor', 'x'],
          ['EVERYWIRE-FROM', 'y'],
          ['lang', 'ko'],
          ['__proto__', 'p'],
        ]),
      }).headers,
    ).toEqual(
      new Map([
        ['lang', 'ko'],
        ['__proto__', 'p'],
      ]),
    );
    refused({ headers: new Map(Array.from({ length: 33 }, (_, at) => [`h${at}`, ''])) }, 'too_large');
    refused({ headers: new Map([['a', 'x'.repeat(9_000)]]) }, 'too_large');
  });
});
