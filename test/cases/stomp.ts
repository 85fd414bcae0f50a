import { defaultLimits } from '../../packages/server/src/config/limits.ts';

/** BAD-INPUT section 6, on a connection where CONNECT was answered unless `isFirst`. */
export interface StompCase {
  /** Section, row, input. */
  readonly id: string;
  readonly what: string;
  readonly send: string | Buffer;
  /** `message` of the ERROR; `undefined`: the connection stays, and is of use. */
  readonly code: string | undefined;
  /** Spoken versions; all when absent. */
  readonly versions?: readonly string[];
  readonly isFirst?: true;
  /** What the ERROR says of the frame's receipt. */
  readonly receipt?: string;
  /** Only the end of patience shows that it is wrong: nothing that comes behind it is looked at as a frame. */
  readonly isUnfinished?: true;
}

const frame = (head: string, body = ''): string => `${head}\n\n${body}\0`;
const late = ['1.1', '1.2'];
const { payloadBytesMax, stompLineBytesMax, headerBytesMax } = defaultLimits;

function rows(
  row: string,
  inputs: readonly (Omit<StompCase, 'id'> & { readonly id?: never })[],
): readonly StompCase[] {
  return inputs.map((input, at) => ({ id: `6.${row}.${at + 1}`, ...input }));
}

export const cases: readonly StompCase[] = [
  ...rows('1', [
    {
      what: 'no common version',
      send: frame('CONNECT\naccept-version:0.9,2.0'),
      code: 'unsupported',
      isFirst: true,
    },
    {
      what: 'an empty list of versions',
      send: frame('CONNECT\naccept-version:'),
      code: 'unsupported',
      isFirst: true,
    },
  ]),
  ...rows('2', [
    {
      what: 'SEND before CONNECT',
      send: frame('SEND\ndestination:/topic/case', 'x'),
      code: 'malformed',
      isFirst: true,
    },
    {
      what: 'SUBSCRIBE before CONNECT',
      send: frame('SUBSCRIBE\nid:1\ndestination:/topic/case\nreceipt:r'),
      code: 'malformed',
      isFirst: true,
      receipt: 'r',
    },
    { what: 'DISCONNECT before CONNECT', send: frame('DISCONNECT'), code: 'malformed', isFirst: true },
    {
      what: 'CONNECT with a body',
      send: frame('CONNECT\naccept-version:1.2\nhost:x', 'body'),
      code: 'malformed',
      isFirst: true,
    },
    {
      what: 'CONNECT with an end of line before NUL',
      send: frame('CONNECT\naccept-version:1.2\nhost:x', '\n'),
      code: undefined,
      isFirst: true,
    },
    { what: 'a second CONNECT', send: frame('CONNECT\naccept-version:1.2\nhost:x'), code: 'malformed' },
    { what: 'a second STOMP', send: frame('STOMP\naccept-version:1.2\nhost:x'), code: 'malformed' },
    { what: 'a frame of the server', send: frame('MESSAGE\nmessage-id:1'), code: 'malformed' },
    { what: 'an unknown command', send: frame('EXPLODE\nreceipt:r'), code: 'malformed', receipt: 'r' },
  ]),
  ...rows('3', [
    {
      what: 'SEND without destination',
      send: frame('SEND\nreceipt:r', 'x'),
      code: 'malformed',
      receipt: 'r',
    },
    { what: 'SUBSCRIBE without destination', send: frame('SUBSCRIBE\nid:1'), code: 'malformed' },
    {
      what: 'SUBSCRIBE without id',
      send: frame('SUBSCRIBE\ndestination:/topic/case'),
      code: 'malformed',
      versions: late,
    },
    { what: 'UNSUBSCRIBE without id', send: frame('UNSUBSCRIBE'), code: 'malformed' },
    { what: 'ACK without id', send: frame('ACK\nmessage-id:1'), code: 'malformed', versions: ['1.2'] },
    {
      what: 'ACK without subscription',
      send: frame('ACK\nmessage-id:1'),
      code: 'malformed',
      versions: ['1.1'],
    },
    {
      what: 'ACK without message-id',
      send: frame('ACK\nsubscription:1'),
      code: 'malformed',
      versions: ['1.0', '1.1'],
    },
    { what: 'BEGIN without transaction', send: frame('BEGIN'), code: 'malformed' },
    { what: 'COMMIT without transaction', send: frame('COMMIT'), code: 'malformed' },
    { what: 'ABORT without transaction', send: frame('ABORT'), code: 'malformed' },
    { what: 'an empty destination', send: frame('SEND\ndestination:'), code: 'malformed' },
  ]),
  ...rows('4', [
    {
      what: 'the undefined escape \\t',
      send: frame('SEND\ndestination:/topic/case\na:\\t'),
      code: 'malformed',
      versions: late,
    },
    {
      what: 'the undefined escape \\x',
      send: frame('SEND\ndestination:/topic/case\na:\\x41'),
      code: 'malformed',
      versions: late,
    },
    {
      what: 'the undefined escape \\r in 1.1',
      send: frame('SEND\ndestination:/topic/case\na:\\r'),
      code: 'malformed',
      versions: ['1.1'],
    },
    {
      what: 'a backslash at the end',
      send: frame('SEND\ndestination:/topic/case\na:\\'),
      code: 'malformed',
      versions: late,
    },
    ...[
      [0xff, 0xfe],
      [0xed, 0xa0, 0x80],
      [0xc0, 0x80],
    ].map((bytes) => ({
      what: `a header that is not UTF-8: ${Buffer.from(bytes).toString('hex')}`,
      send: Buffer.concat([
        Buffer.from('SEND\ndestination:/topic/case\na:'),
        Buffer.from(bytes),
        Buffer.from('\n\n\0'),
      ]),
      code: 'malformed',
    })),
  ]),
  ...rows('5', [
    {
      what: 'a repeated header: the first wins',
      send: frame('SEND\ndestination:/topic/case\ndestination:/topic/$x', 'x'),
      code: undefined,
    },
    {
      what: 'headers named __proto__ and constructor',
      send: frame('SEND\ndestination:/topic/case\n__proto__:x\nconstructor:y', 'x'),
      code: undefined,
    },
  ]),
  ...rows('6', [
    {
      what: '65 headers',
      send: frame(`SEND\ndestination:/topic/case${'\na:b'.repeat(64)}`),
      code: 'too_large',
    },
    {
      what: '2,001 headers',
      send: frame(`SEND${Array.from({ length: 2_001 }, (_, at) => `\nh${at}:x`).join('')}`),
      code: 'too_large',
    },
    {
      what: 'a header line over 4 KiB',
      send: frame(`SEND\na:${'x'.repeat(stompLineBytesMax)}`),
      code: 'too_large',
    },
    {
      what: 'a head over 16 KiB',
      send: frame(`SEND${`\na:${'x'.repeat(4_000)}`.repeat(5)}`),
      code: 'too_large',
    },
    {
      what: 'a body one over the limit, announced',
      send: frame(`SEND\ndestination:/topic/case\ncontent-length:${payloadBytesMax + 1}`),
      code: 'too_large',
    },
    {
      what: 'a body one over the limit, not announced',
      send: frame('SEND\ndestination:/topic/case', 'x'.repeat(payloadBytesMax + 1)),
      code: 'too_large',
    },
    {
      what: 'a body at the limit',
      send: frame('SEND\ndestination:/topic/case', 'x'.repeat(payloadBytesMax)),
      code: undefined,
    },
    { what: 'a command of 64 bytes', send: frame('A'.repeat(64)), code: 'malformed' },
    { what: 'a command of 32 bytes', send: frame('A'.repeat(32)), code: 'malformed' },
    {
      what: 'CONNECT over 16 KiB',
      send: frame(
        `CONNECT\naccept-version:1.2${`\na:${'x'.repeat(4_000)}`.repeat(Math.ceil(headerBytesMax / 4_000))}`,
      ),
      code: 'too_large',
      isFirst: true,
    },
    {
      what: 'an announced 256 MB before CONNECT',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:268435456'),
      code: 'too_large',
      isFirst: true,
    },
  ]),
  ...rows('7', [
    {
      what: 'content-length too small',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:1', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length too large',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:500', 'abc'),
      code: 'timed_out',
      isUnfinished: true,
    },
    {
      what: 'content-length negative',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:-1', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length 1e3',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:1e3', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length twice',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:3\ncontent-length:3', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length 2^64',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:18446744073709551616', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length empty',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:', 'abc'),
      code: 'malformed',
    },
    {
      what: 'content-length 0 with an empty body',
      send: frame('SEND\ndestination:/topic/case\ncontent-length:0'),
      code: undefined,
    },
  ]),
  ...rows(
    '8',
    [
      'SUBSCRIBE\nid:1\ndestination:/topic/case',
      'ACK\nid:1',
      'DISCONNECT\nreceipt:r',
      'BEGIN\ntransaction:t',
      'UNSUBSCRIBE\nid:1',
    ].map((head) => ({
      what: `a body on ${head.split('\n')[0]!}`,
      send: frame(head, 'body'),
      code: 'malformed',
      ...(head.includes('receipt') ? { receipt: 'r' } : {}),
    })),
  ),
  ...rows('9', [
    ...['SEND', 'SUBSCRIBE\nid:1'].flatMap((command) => [
      {
        what: `${command.slice(0, 9)} to a name of the server`,
        send: frame(`${command}\ndestination:/$SYS/x\nreceipt:r`),
        code: 'bad_name',
        receipt: 'r',
      },
      {
        what: `${command.slice(0, 9)} to a name of 256 bytes`,
        send: frame(`${command}\ndestination:/${'x'.repeat(256)}\nreceipt:r`),
        code: 'bad_name',
        receipt: 'r',
      },
      {
        what: `${command.slice(0, 9)} to 17 levels`,
        send: frame(`${command}\ndestination:/${'a/'.repeat(16)}a\nreceipt:r`),
        code: 'bad_name',
        receipt: 'r',
      },
      {
        what: `${command.slice(0, 9)} to a name with a control character`,
        send: frame(`${command}\ndestination:/a\u0001b\nreceipt:r`),
        code: 'bad_name',
        receipt: 'r',
      },
      {
        what: `${command.slice(0, 9)} to U+0085`,
        send: frame(`${command}\ndestination:/a\u0085b`),
        code: 'bad_name',
      },
    ]),
    {
      what: 'SEND to a wildcard',
      send: frame('SEND\ndestination:/a/*\nreceipt:r', 'x'),
      code: 'bad_name',
      receipt: 'r',
    },
    {
      what: 'SEND with an invalid type',
      send: frame('SEND\ndestination:/topic/case\ncontent-type:nonsense\nreceipt:r', 'x'),
      code: 'invalid',
      receipt: 'r',
    },
    {
      what: 'SEND of invalid JSON',
      send: frame('SEND\ndestination:/topic/case\ncontent-type:application/json\nreceipt:r', '{'),
      code: 'malformed',
      receipt: 'r',
    },
    {
      what: 'SEND with 33 application headers',
      send: frame(
        `SEND\ndestination:/topic/case\nreceipt:r${Array.from({ length: 33 }, (_, at) => `\nh${at}:x`).join('')}`,
      ),
      code: 'too_large',
      receipt: 'r',
    },
    {
      what: 'SEND with an odd retain',
      send: frame('SEND\ndestination:/topic/case\nretain:yes'),
      code: 'invalid',
    },
    { what: 'SEND with an odd ttl', send: frame('SEND\ndestination:/topic/case\nttl:soon'), code: 'invalid' },
    {
      what: 'SUBSCRIBE with 5 wildcards',
      send: frame('SUBSCRIBE\nid:1\ndestination:/*/*/*/*/*\nreceipt:r'),
      code: 'bad_name',
      receipt: 'r',
    },
    {
      what: 'SUBSCRIBE with ** inside',
      send: frame('SUBSCRIBE\nid:1\ndestination:/a/**/b'),
      code: 'bad_name',
    },
    { what: 'SUBSCRIBE with a*', send: frame('SUBSCRIBE\nid:1\ndestination:/topic/a*'), code: 'bad_name' },
    {
      what: 'SUBSCRIBE to a group of the server’s names',
      send: frame('SUBSCRIBE\nid:1\ndestination:$share/g/$SYS/#'),
      code: 'bad_name',
    },
    {
      what: 'SUBSCRIBE to a queue by a pattern',
      send: frame('SUBSCRIBE\nid:1\ndestination:/queue/*'),
      code: 'unsupported',
    },
    {
      what: 'SUBSCRIBE with an unknown ack',
      send: frame('SUBSCRIBE\nid:1\ndestination:/topic/case\nack:perhaps'),
      code: 'invalid',
    },
    {
      what: 'SUBSCRIBE with a selector',
      send: frame('SUBSCRIBE\nid:1\ndestination:/topic/case\nselector:a=1'),
      code: 'unsupported',
    },
    {
      what: 'SUBSCRIBE with an odd prefetch-count',
      send: frame('SUBSCRIBE\nid:1\ndestination:/topic/case\nprefetch-count:many'),
      code: 'invalid',
    },
    {
      what: 'a durable subscription without a name, in 1.0',
      send: frame('SUBSCRIBE\ndestination:/topic/case\ndurable:true'),
      code: 'malformed',
      versions: ['1.0'],
    },
    ...[
      '',
      'nonsense',
      `1${'z'.repeat(4_000)}`,
      '1abcdef.-1.0123456789abcdef',
      '1abcdef.1.0123456789abcde',
      '2abcdef.1.0123456789abcdef',
      '1abcdef.zzzzzzzzzzz.0123456789abcdef',
    ].map((cursor) => ({
      what: `an invalid cursor: ${cursor.slice(0, 40)}`,
      send: frame(`SUBSCRIBE\nid:1\ndestination:/topic/case\nreceipt:r\nafter:${cursor}`),
      code: 'bad_cursor',
      receipt: 'r',
    })),
    {
      what: 'an invalid start',
      send: frame('SUBSCRIBE\nid:1\ndestination:/topic/case\nsince:last--1'),
      code: 'invalid',
    },
  ]),
  ...rows('10', [
    {
      what: 'an id used twice',
      send:
        frame('SUBSCRIBE\nid:1\ndestination:/topic/a') +
        frame('SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:r'),
      code: 'conflict',
      receipt: 'r',
    },
    {
      what: 'an id over 255 bytes',
      send: frame(`SUBSCRIBE\nid:${'x'.repeat(256)}\ndestination:/topic/case`),
      code: 'too_large',
    },
    {
      what: 'UNSUBSCRIBE of an unknown id',
      send: frame('UNSUBSCRIBE\nid:7\nreceipt:r'),
      code: 'not_found',
      receipt: 'r',
    },
    {
      what: 'ACK of an unknown id',
      send: frame('ACK\nid:unknown\nreceipt:r'),
      code: 'not_found',
      receipt: 'r',
      versions: ['1.2'],
    },
    {
      what: 'NACK of an unknown id',
      send: frame('NACK\nid:1abcdef.1.0123456789abcdef/1\nreceipt:r'),
      code: 'not_found',
      receipt: 'r',
      versions: ['1.2'],
    },
    {
      what: 'ACK of an unknown message',
      send: frame('ACK\nsubscription:1\nmessage-id:7'),
      code: 'not_found',
      versions: ['1.0', '1.1'],
    },
  ]),
  ...rows('11', [
    {
      what: 'COMMIT of an unknown transaction',
      send: frame('COMMIT\ntransaction:t\nreceipt:r'),
      code: 'not_found',
      receipt: 'r',
    },
    { what: 'ABORT of an unknown transaction', send: frame('ABORT\ntransaction:t'), code: 'not_found' },
    {
      what: 'SEND in an unknown transaction',
      send: frame('SEND\ndestination:/topic/case\ntransaction:t', 'x'),
      code: 'not_found',
    },
    {
      what: 'BEGIN twice',
      send: frame('BEGIN\ntransaction:t') + frame('BEGIN\ntransaction:t'),
      code: 'conflict',
    },
    {
      what: 'COMMIT twice',
      send: frame('BEGIN\ntransaction:t') + frame('COMMIT\ntransaction:t') + frame('COMMIT\ntransaction:t'),
      code: 'not_found',
    },
    {
      what: '10,000 open transactions',
      send: Array.from({ length: 10_000 }, (_, at) => frame(`BEGIN\ntransaction:${at}`)).join(''),
      code: 'quota_exceeded',
    },
    {
      what: 'a transaction over its bytes',
      send:
        frame('BEGIN\ntransaction:t') +
        frame('SEND\ndestination:/topic/case\ntransaction:t', 'x'.repeat(60_000)).repeat(72),
      code: 'quota_exceeded',
    },
    {
      what: 'SEND in a transaction that cannot be done',
      send: frame('BEGIN\ntransaction:t') + frame('SEND\ndestination:/$SYS/x\ntransaction:t', 'x'),
      code: 'bad_name',
    },
  ]),
  ...rows('12', [
    {
      what: 'heart-beat -1,0',
      send: frame('CONNECT\naccept-version:1.2\nheart-beat:-1,0'),
      code: 'malformed',
      isFirst: true,
    },
    {
      what: 'heart-beat a,b',
      send: frame('CONNECT\naccept-version:1.2\nheart-beat:a,b'),
      code: 'malformed',
      isFirst: true,
    },
    {
      what: 'heart-beat 1',
      send: frame('CONNECT\naccept-version:1.2\nheart-beat:1'),
      code: 'malformed',
      isFirst: true,
    },
    {
      what: 'heart-beat 99999999999,0',
      send: frame('CONNECT\naccept-version:1.2\nheart-beat:99999999999,0'),
      code: undefined,
      isFirst: true,
    },
  ]),
  ...rows('14', [
    { what: 'NUL between frames', send: '\n\0\n', code: 'malformed' },
    { what: '10,000 ends of lines', send: '\n'.repeat(5_000) + '\r\n'.repeat(5_000), code: undefined },
    { what: 'CR between frames', send: '\rX', code: 'malformed' },
    { what: 'letters between frames', send: 'hello\n', code: 'malformed' },
    {
      what: 'a request of HTTP',
      send: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      code: 'malformed',
      isFirst: true,
    },
    { what: 'a TLS hello', send: Buffer.from('160301020001000000', 'hex'), code: 'malformed', isFirst: true },
    { what: 'a head that NUL ends', send: 'SEND\ndestination:/topic/case\0', code: 'malformed' },
    { what: 'a header without a colon', send: frame('SEND\ndestination'), code: 'malformed' },
  ]),
];
