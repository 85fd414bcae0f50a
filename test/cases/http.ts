import { gzipSync } from 'node:zlib';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';

/** One input and the answer its standard requires (BAD-INPUT §0). */
export interface Case {
  /** `<section>.<row>.<input>` */
  readonly id: string;
  readonly what: string;
  readonly send: Buffer | string;
  readonly status: number | readonly number[];
  /** The problem's code. */
  readonly code?: string;
  /** Whether the server must close. Absent: it must not, and the next request is served. */
  readonly close?: true;
  readonly headers?: Readonly<Record<string, RegExp>>;
  readonly clause: string;
  /** Too long to be cut at every byte or to be sent byte by byte. */
  readonly isLong?: true;
}

const { payloadBytesMax } = defaultLimits;
const host = 'Host: localhost\r\n';

export function get(target: string, fields = ''): string {
  return `GET ${target} HTTP/1.1\r\n${host}${fields}\r\n`;
}

export function post(target: string, fields: string, body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body as string);
  const first = `POST ${target} HTTP/1.1\r\n${host}${fields}Content-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(first, 'latin1'), bytes]);
}

const json = 'Content-Type: application/json\r\n';
const chunked = `POST /channels/bad HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`;
const withLength = (length: string): string =>
  `POST /channels/bad HTTP/1.1\r\n${host}Content-Length: ${length}\r\n\r\nhello`;
const control = (text: string | Buffer): Buffer => post('/publish', json, text);
const deep = (depth: number): string =>
  `[{"channel":"bad","data":${'['.repeat(depth - 2)}${']'.repeat(depth - 2)}}]`;

const framing: readonly Case[] = [
  {
    id: '1.1.1',
    what: 'a garbage first line',
    send: 'garbage\r\n\r\n',
    status: 400,
    close: true,
    clause: 'RFC 9112 §3',
  },
  {
    id: '1.1.2',
    what: 'a lower-case version',
    send: `GET / http/1.1\r\n${host}\r\n`,
    status: [400, 505],
    close: true,
    clause: 'RFC 9112 §2.3',
  },
  {
    id: '1.1.3',
    what: 'HTTP/9.9',
    send: `GET / HTTP/9.9\r\n${host}\r\n`,
    status: [400, 505],
    close: true,
    clause: 'RFC 9110 §15.6.6',
  },
  {
    id: '1.2.1',
    what: 'a target of 17 KiB',
    send: get(`/channels/${'a'.repeat(17 * 1024)}`),
    status: [414, 431],
    close: true,
    isLong: true,
    clause: 'RFC 9110 §15.5.15',
  },
  {
    id: '1.3.1',
    what: 'a head of 17 KiB',
    send: get('/livez', `X-Long: ${'a'.repeat(17 * 1024)}\r\n`),
    status: 431,
    close: true,
    isLong: true,
    clause: 'RFC 6585 §5',
  },
  {
    id: '1.3.2',
    what: '101 header fields',
    send: get('/livez', Array.from({ length: 100 }, (_, at) => `X-${at}: 1\r\n`).join('')),
    status: 431,
    close: true,
    isLong: true,
    clause: 'RFC 6585 §5',
  },
  {
    id: '1.4.1',
    what: 'no Host',
    send: 'GET /livez HTTP/1.1\r\n\r\n',
    status: 400,
    close: true,
    clause: 'RFC 9112 §3.2',
  },
  {
    id: '1.4.2',
    what: 'two Hosts',
    send: get('/livez', 'Host: localhost\r\n'),
    status: 400,
    close: true,
    clause: 'RFC 9112 §3.2',
  },
  {
    id: '11.form.authorization',
    what: 'two Authorization fields',
    send: get('/livez', 'Authorization: Bearer a\r\nAuthorization: Bearer b\r\n'),
    status: 400,
    code: 'malformed',
    close: true,
    clause: 'RFC 9110 §5.3',
  },
  ...['a b', 'user@localhost', 'a/b', '[::1', 'local\u00e9host', 'a:b'].map((name, at): Case => ({
    id: `1.4.${at + 3}`,
    what: `Host: ${name}`,
    send: `GET /livez HTTP/1.1\r\nHost: ${name}\r\n\r\n`,
    status: 400,
    close: true,
    clause: 'RFC 9112 §3.2',
  })),
  ...[
    ['a space before the colon', 'X-Odd : 1\r\n'],
    ['a folded line', 'X-Odd: 1\r\n 2\r\n'],
    ['a bare CR', 'X-Odd: 1\r2\r\n'],
    ['a bare LF', 'X-Odd: 1\nX-Two: 2\r\n'],
    ['NUL in a value', 'X-Odd: a\0b\r\n'],
    ['no colon', 'X-Odd\r\n'],
    ['an empty name', ': 1\r\n'],
  ].map(([what, fields], at): Case => ({
    id: `1.5.${at + 1}`,
    what: what!,
    send: get('/livez', fields),
    status: 400,
    close: true,
    clause: 'RFC 9112 §5.1, §5.2, §2.2',
  })),
  {
    id: '1.6.1',
    what: 'Content-Length with Transfer-Encoding',
    send: `POST /channels/bad HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
    close: true,
    clause: 'RFC 9112 §6.1',
  },
  {
    id: '1.6.2',
    what: 'two lengths',
    send: `POST /channels/bad HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    status: 400,
    close: true,
    clause: 'RFC 9112 §6.3',
  },
  ...['+5', '-1', '5 5', '18446744073709551616', '0x5', '5,5', ''].map((length, at): Case => ({
    id: `1.6.${at + 3}`,
    what: `Content-Length: "${length}"`,
    send: withLength(length),
    status: 400,
    close: true,
    clause: 'RFC 9112 §6.3',
  })),
  ...[
    ['a chunk size beyond 64 bits', 'FFFFFFFFFFFFFFFFF\r\n'],
    ['no CRLF behind a chunk', '5\r\nhelloX\r\n0\r\n\r\n'],
    ['an invalid chunk size', 'xyz\r\n'],
    ['a negative chunk size', '-1\r\n'],
  ].map(([what, body], at): Case => ({
    id: `1.7.${at + 1}`,
    what: what!,
    send: chunked + body!,
    status: 400,
    close: true,
    clause: 'RFC 9112 §7.1',
  })),
  {
    id: '1.7.5',
    what: 'a chunk extension of 1 MiB',
    send: `${chunked}5;${'x'.repeat(1024 * 1024)}\r\nhello\r\n0\r\n\r\n`,
    status: [400, 413],
    close: true,
    isLong: true,
    clause: 'RFC 9112 §7.1.1',
  },
  ...['gzip', 'gzip, chunked', 'identity', 'xchunked'].map((coding, at): Case => ({
    id: `1.8.${at + 1}`,
    what: `Transfer-Encoding: ${coding}`,
    send: `POST /channels/bad HTTP/1.1\r\n${host}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`,
    status: 501,
    close: true,
    clause: 'RFC 9112 §6.1',
  })),
  {
    id: '1.8.5',
    what: 'Transfer-Encoding in HTTP/1.0',
    send: `POST /channels/bad HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
    close: true,
    clause: 'RFC 9112 §6.1',
  },
  {
    id: '1.8.6',
    what: 'a GET with a body',
    send: `GET /channels/bad HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`,
    status: 400,
    close: true,
    clause: 'RFC 9110 §9.3.1',
  },
  {
    id: '1.9.1',
    what: 'a body one byte over the limit, announced and not sent',
    send: `POST /channels/bad HTTP/1.1\r\n${host}Content-Length: ${payloadBytesMax + 1}\r\n\r\n`,
    status: 413,
    code: 'too_large',
    close: true,
    clause: 'RFC 9110 §15.5.14',
  },
  {
    id: '1.9.2',
    what: 'a body one byte over the limit, chunked',
    send: `${chunked}${(payloadBytesMax + 1).toString(16)}\r\n${'x'.repeat(payloadBytesMax + 1)}\r\n0\r\n\r\n`,
    status: 413,
    code: 'too_large',
    close: true,
    isLong: true,
    clause: 'RFC 9110 §15.5.14',
  },
  {
    id: '1.19.1',
    what: 'Expect: 100-continue with an oversize length',
    send: `POST /channels/bad HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n`,
    status: 413,
    close: true,
    clause: 'RFC 9110 §10.1.1',
  },
  {
    id: '1.19.2',
    what: 'another expectation',
    send: `POST /channels/bad HTTP/1.1\r\n${host}Expect: miracles\r\nContent-Length: 5\r\n\r\n`,
    status: 417,
    close: true,
    clause: 'RFC 9110 §15.5.18',
  },
  {
    id: '1.20.1',
    what: 'a fragment in the target',
    send: get('/channels/a#b'),
    status: 400,
    close: true,
    clause: 'RFC 9112 §3.2',
  },
  {
    id: '1.20.2',
    what: 'CONNECT',
    send: `CONNECT localhost:80 HTTP/1.1\r\n${host}\r\n`,
    status: 405,
    close: true,
    clause: 'RFC 9110 §9.3.6',
  },
  {
    id: '1.20.3',
    what: 'an unknown method',
    send: `BREW / HTTP/1.1\r\n${host}\r\n`,
    status: [400, 405, 501],
    close: true,
    clause: 'RFC 9110 §9.1',
  },
];

const semantics: readonly Case[] = [
  {
    id: '1.11.1',
    what: 'POST /publish without a media type',
    send: post('/publish', '', '[]'),
    status: 415,
    code: 'unsupported',
    headers: { 'accept-post': /application\/json/ },
    clause: 'RFC 9110 §15.5.16',
    close: true,
  },
  {
    id: '1.11.2',
    what: 'POST /publish with another media type',
    send: post('/publish', 'Content-Type: text/plain\r\n', '[]'),
    status: 415,
    headers: { 'accept-post': /application\/json/ },
    clause: 'RFC 9110 §15.5.16',
    close: true,
  },
  {
    id: '1.11.3',
    what: 'an invalid Content-Type',
    send: post('/channels/bad', 'Content-Type: nonsense\r\n', 'x'),
    status: [415, 422],
    clause: 'RFC 9110 §15.5.16',
    close: true,
  },
  {
    id: '1.11.4',
    what: 'Accept that cannot be met',
    send: get('/channels/bad', 'Accept: image/png\r\n'),
    status: 406,
    code: 'unsupported',
    clause: 'RFC 9110 §15.5.7',
  },
  {
    id: '1.12.1',
    what: 'an unknown path',
    send: get('/nothing'),
    status: 404,
    code: 'not_found',
    clause: 'RFC 9110 §15.5.5',
  },
  {
    id: '1.12.2',
    what: 'a wrong method',
    send: post('/channels', json, '{}'),
    status: 405,
    headers: { allow: /GET.*HEAD.*OPTIONS/ },
    clause: 'RFC 9110 §15.5.6',
  },
  {
    id: '1.12.3',
    what: 'PUT on a channel',
    send: `PUT /channels/bad HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`,
    status: 405,
    headers: { allow: /DELETE.*GET.*POST/ },
    clause: 'RFC 9110 §15.5.6',
  },
  ...(
    [
      ['bad JSON', '[{"channel":]'],
      ['no JSON at all', 'hello'],
      ['an empty document', ' '],
      ['two documents', '[][]'],
      ['a byte order mark', '\uFEFF[]'],
      ['duplicate keys', '[{"channel":"bad","channel":"worse","data":1}]'],
      ['duplicate keys that are spelt differently', '[{"channel":"bad","\\u0063hannel":"worse","data":1}]'],
      ['duplicate keys in the payload', '[{"channel":"bad","data":{"a":1,"a":2}}]'],
      ['depth 33', deep(33)],
      ['a lone surrogate', '[{"channel":"\\ud800","data":1}]'],
      ['1e400', '[{"channel":"bad","data":1e400}]'],
      ['NaN', '[{"channel":"bad","data":NaN}]'],
      ['a trailing comma', '[{"channel":"bad","data":1},]'],
      ['a comment', '[] // end'],
      ['a control character in a string', '[{"channel":"a\tb","data":1}]'],
      ['a leading zero', '[{"channel":"bad","data":01}]'],
    ] as const
  ).map(([what, text], at): Case => ({
    id: `1.13.${at + 1}`,
    what,
    send: control(text),
    status: 400,
    code: 'malformed',
    clause: 'RFC 9110 §15.5.1, RFC 8259',
  })),
  {
    id: '1.13.17',
    what: 'JSON that is not UTF-8',
    send: control(Buffer.from('5b22fffe225d', 'hex')),
    status: 400,
    code: 'malformed',
    clause: 'RFC 8259 §8.1',
  },
  ...(
    [
      ['an object', '{}'],
      ['an entry that is no object', '[1]'],
      ['no channel', '[{"data":1}]'],
      ['a channel of the wrong type', '[{"channel":1,"data":1}]'],
      ['a misspelt member', '[{"channel":"bad","dta":1}]'],
      ['__proto__', '[{"channel":"bad","data":1,"__proto__":{"polluted":1}}]'],
      ['neither data nor base64', '[{"channel":"bad"}]'],
      ['both data and base64', '[{"channel":"bad","data":1,"base64":""}]'],
      ['invalid base64', '[{"channel":"bad","base64":"***"}]'],
      ['an invalid ttl', '[{"channel":"bad","data":1,"ttl":"soon"}]'],
      ['headers that are no strings', '[{"channel":"bad","data":1,"headers":{"a":1}}]'],
    ] as const
  ).map(([what, text], at): Case => ({
    id: `1.14.${at + 1}`,
    what: `wrong shape: ${what}`,
    send: control(text),
    status: 422,
    code: 'invalid',
    clause: 'RFC 9110 §15.5.21',
  })),
  {
    id: '1.18.1',
    what: 'an unknown Content-Encoding',
    send: post('/channels/bad', 'Content-Encoding: br\r\n', 'x'),
    status: 415,
    headers: { 'accept-encoding': /gzip/ },
    close: true,
    clause: 'RFC 9110 §8.4',
  },
  {
    id: '1.18.2',
    what: 'broken gzip',
    send: post('/channels/bad', 'Content-Encoding: gzip\r\n', 'not gzip'),
    status: 400,

    clause: 'RFC 9110 §8.4',
  },
  {
    id: '1.18.3',
    what: 'gzip that is cut off',
    send: post(
      '/channels/bad',
      'Content-Encoding: gzip\r\n',
      gzipSync('hello, hello, hello').subarray(0, 20),
    ),
    status: 400,

    clause: 'RFC 9110 §8.4',
  },
  {
    id: '1.18.4',
    what: 'a gzip bomb',
    send: post('/channels/bad', 'Content-Encoding: gzip\r\n', gzipSync(Buffer.alloc(32 * 1024 * 1024))),
    status: 413,

    isLong: true,
    clause: 'RFC 9110 §8.4',
  },
  ...[
    ['a stray % in the path', '/channels/%zz'],
    ['half an escape in the path', '/channels/a%4'],
    ['a path that is not UTF-8', '/channels/%ff%fe'],
    ['an encoded surrogate', '/channels/%ed%a0%80'],
    ['an overlong form', '/channels/%c0%80'],
    ['a query that is not UTF-8', '/channels/bad?after=%ff'],
  ].map(([what, target], at): Case => ({
    id: `12.1.${at + 1}`,
    what: what!,
    send: get(target!),
    status: 400,
    code: 'malformed',
    clause: 'BAD-INPUT 12',
  })),
  ...[
    ['empty', ''],
    ['256 bytes', 'a'.repeat(256)],
    ['17 levels', Array.from({ length: 17 }, () => 'a').join('/')],
    ['+ inside', 'a+b'],
    ['# inside', 'a%23b'],
    ['* inside', 'a*b'],
    ['CR', 'a%0d'],
    ['LF', 'a%0a'],
    ['TAB', 'a%09b'],
    ['U+0085', 'a%c2%85'],
    ['NUL', 'a%00b'],
    ['a $ first level', '$x/y'],
    ['5 wildcards', '*/*/*/*/*'],
    ['** not at the end', '**/a'],
    ['$SYS/#', '$SYS/%23'],
  ].flatMap(([what, name], at): Case[] => [
    {
      id: `12.3.${at + 1}`,
      what: `reading a name with ${what}`,
      send: get(`/channels/${name!}`),
      status: 400,
      code: 'bad_name',
      clause: 'BAD-INPUT 12',
    },
    {
      id: `12.3.${at + 1}p`,
      what: `publishing to a name with ${what}`,
      send: post(`/channels/${name!}`, '', 'x'),
      status: 400,
      code: 'bad_name',
      clause: 'BAD-INPUT 12',
    },
  ]),
  ...['Everywire-Event: \u00ff\u00fe', 'Everywire-Meta-Lang: \u00ff', 'Idempotency-Key: \u00ff'].map(
    (field, at): Case => ({
      id: `12.9.${at + 1}`,
      what: `${field.split(':')[0]!} that is not UTF-8`,
      send: post('/channels/bad', `${field}\r\n`, 'x'),
      status: 400,
      code: 'malformed',
      clause: 'BAD-INPUT 12',
    }),
  ),
  {
    id: '12.9.4',
    what: 'two Idempotency-Keys',
    send: post('/channels/bad', 'Idempotency-Key: a\r\nIdempotency-Key: b\r\n', 'x'),
    status: 400,
    code: 'malformed',
    clause: 'BAD-INPUT 12',
  },
  {
    id: '12.9.5',
    what: 'an invalid TTL',
    send: post('/channels/bad', 'Everywire-TTL: soon\r\n', 'x'),
    status: 400,
    code: 'invalid',
    clause: 'BAD-INPUT 12',
  },
  {
    id: '12.9.6',
    what: 'invalid JSON',
    send: post('/channels/bad', json, '{"a":'),
    status: 400,
    code: 'malformed',
    clause: 'INTERFACES 2',
  },
];

/** An empty value is no value. */
function refusedUnlessEmpty(isEmpty: boolean, code: string): Pick<Case, 'status' | 'code'> {
  return isEmpty ? { status: 200 } : { status: 400, code };
}

const ranges: readonly Case[] = [
  ...[
    'wait=1e9s',
    'wait=-1s',
    'wait=',
    'wait=NaN',
    'limit=-1',
    'limit=0',
    'limit=1e9',
    'limit=NaN',
    'limit=',
  ].map((query, at): Case => ({
    id: `3.1.${at + 1}`,
    what: query,
    send: get(`/channels/bad?${query}`),
    ...refusedUnlessEmpty(query.endsWith('='), 'invalid'),
    clause: 'BAD-INPUT 3',
  })),
  ...['limit=1&limit=2', 'wait=1s&wait=2s', 'after=a&after=b', 'since=latest&since=latest'].map(
    (query, at): Case => ({
      id: `3.1.${at + 10}`,
      what: query,
      send: get(`/channels/bad?${query}`),
      status: 400,
      code: 'malformed',
      clause: 'BAD-INPUT 3',
    }),
  ),
  ...[
    'last--1',
    'last-',
    'last-x',
    '10000-01-01T00:00:00Z',
    'yesterday',
    '',
    '-',
    '2026-13-01T00:00:00Z',
    '+5m',
  ].map((since, at): Case => ({
    id: `3.1.${at + 20}`,
    what: `since=${since}`,
    send: get(`/channels/bad?since=${encodeURIComponent(since)}`),
    ...refusedUnlessEmpty(since === '', 'invalid'),
    clause: 'BAD-INPUT 3',
  })),
  {
    id: '3.1.30',
    what: 'a limit beyond the range is clamped',
    send: get('/channels/bad?limit=999999'),
    status: 200,
    clause: 'BAD-INPUT 3',
  },
  {
    id: '3.1.31',
    what: 'an unknown format',
    send: get('/channels/bad?format=xml'),
    status: 400,
    code: 'invalid',
    clause: 'INTERFACES 3',
  },
  {
    id: '3.1.32',
    what: '/stream without a channel',
    send: get('/stream'),
    status: 400,
    code: 'invalid',
    clause: 'INTERFACES 3',
  },
  ...[
    '',
    'a'.repeat(4096),
    '%20',
    'abc',
    '1abcdef.1.0',
    ' 1abcdef.1.0000000000000000',
    '1abcdef.-1.0000000000000000',
  ].flatMap((cursor, at): Case[] => [
    {
      id: `2.1.${at + 1}`,
      what: `polling after "${cursor.slice(0, 20)}"`,
      send: get(`/channels/bad?after=${cursor.replaceAll(' ', '%20')}`),
      ...refusedUnlessEmpty(cursor === '', 'bad_cursor'),
      clause: 'BAD-INPUT 2',
    },
    // The answer to an empty one is endless.
    ...(cursor === ''
      ? []
      : [
          {
            id: `2.1.${at + 1}s`,
            what: `a stream after "${cursor.slice(0, 20)}"`,
            send: get(
              `/channels/bad?after=${cursor.replaceAll(' ', '%20')}`,
              'Accept: application/x-ndjson\r\n',
            ),
            status: 400,
            code: 'bad_cursor',
            clause: 'BAD-INPUT 2',
          },
        ]),
    {
      id: `2.1.${at + 1}w`,
      what: `a long poll after "${cursor.slice(0, 20)}"`,
      send: get(`/channels/bad?wait=1s&after=${cursor.replaceAll(' ', '%20')}`),
      ...refusedUnlessEmpty(cursor === '', 'bad_cursor'),
      clause: 'BAD-INPUT 2',
    },
  ]),
  // A Last-Event-ID that is no cursor gets an endless answer: see the tests of the SSE transport.
  ...['\0', 'a\rb'].map((cursor, at): Case => ({
    id: `3.2.${at + 4}`,
    what: `Last-Event-ID with a control character ${at}`,
    send: get('/channels/bad', `Accept: text/event-stream\r\nLast-Event-ID: ${cursor}\r\n`),
    status: 400,
    close: true,
    clause: 'RFC 9110 §5.5',
  })),
  ...['text/html', 'text/event-stream;q=0', 'image/*, text/plain', 'application/json;q=0, text/html'].map(
    (accept, at): Case => ({
      id: `3.5.${at + 1}`,
      what: `Accept: ${accept}`,
      send: get('/channels/bad', `Accept: ${accept}\r\n`),
      status: 406,
      clause: 'RFC 9110 §12.5.1',
    }),
  ),
];

export const cases: readonly Case[] = [...framing, ...semantics, ...ranges];
