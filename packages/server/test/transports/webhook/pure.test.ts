import { createHmac } from 'node:crypto';
import { retryAfterMsMax } from '@everywire/protocol';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { Message } from '../../../src/core/log/message.ts';
import { isBlockedAddress } from '../../../src/transports/webhook/addresses.ts';
import { retryDelayMs } from '../../../src/transports/webhook/schedule.ts';
import { checkSecret, createSecret, signatureOf } from '@everywire/wires/webhook';
import { createTargetRules } from '../../../src/transports/webhook/targets.ts';
import { deliveryOf } from '../../../src/transports/webhook/format.ts';

describe('signatures', () => {
  test('the library of Standard Webhooks verifies them, with either secret of a rotation', () => {
    const secrets = [createSecret(() => 'ab'.repeat(32)), createSecret(() => 'cd'.repeat(32))];
    const signed = {
      id: '01ABC',
      timestampSeconds: Math.floor(Date.now() / 1000),
      body: Buffer.from('{"a":"한"}'),
    };
    const headers = {
      'webhook-id': signed.id,
      'webhook-timestamp': String(signed.timestampSeconds),
      'webhook-signature': signatureOf(signed, secrets),
    };
    for (const secret of secrets) {
      expect(new Webhook(secret).verify(signed.body, headers)).toEqual({ a: '한' });
    }
    expect(() => new Webhook(createSecret(() => 'ef'.repeat(32))).verify(signed.body, headers)).toThrow();
    expect(() => new Webhook(secrets[0]!).verify('{"a":"x"}', headers)).toThrow();
  });

  test('what is signed is id, time and body, parted by full stops', () => {
    const secret = createSecret(() => '00'.repeat(32));
    const mac = createHmac('sha256', Buffer.alloc(32)).update('m.7.b').digest('base64');
    expect(signatureOf({ id: 'm', timestampSeconds: 7, body: Buffer.from('b') }, [secret])).toBe(`v1,${mac}`);
  });

  test.each([
    '',
    'whsec_',
    'whsec_YWJj',
    'abc',
    `whsec_${'A'.repeat(31)}!`,
    `whsec_${Buffer.alloc(65).toString('base64')}`,
  ])('no secret: %j', (text) => {
    expect(() => checkSecret(text)).toThrow(/secret must be whsec_/);
  });

  test.each([24, 32, 64])('a secret of %i bytes', (bytes) => {
    const text = `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
    expect(checkSecret(text)).toBe(text);
  });
});

describe('the schedule', () => {
  const delayMs = (failures: number, chance = 0.5, askedMs?: number): number =>
    retryDelayMs([5_000, 60_000, 36_000_000], { failures, chance, askedMs });

  test('goes from the first to the last and stays there', () => {
    expect([1, 2, 3, 4, 1_000].map((failures) => delayMs(failures))).toEqual([
      5_000, 60_000, 36_000_000, 36_000_000, 36_000_000,
    ]);
  });

  test('is spread by a fifth to both sides', () => {
    expect(delayMs(1, 0)).toBe(4_000);
    expect(delayMs(1, 1)).toBe(6_000);
  });

  test('waits as long as the receiver asks, a day at most', () => {
    expect(delayMs(1, 0.5, 60_000)).toBe(60_000);
    expect(delayMs(3, 0.5, 60_000)).toBe(36_000_000);
    expect(delayMs(1, 0.5, 10 * retryAfterMsMax)).toBe(retryAfterMsMax);
  });
});

/** BAD-INPUT: addresses of a private network in every spelling that a URL parser knows. */
const forbidden = [
  'http://example.com/',
  'https://127.0.0.1/',
  'https://127.1/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://0x7f000001/',
  'https://017700000001/',
  'https://127.0.0.1./',
  'https://１２７.０.０.１/',
  'https://127。0。0。1/',
  'https://0/',
  'https://0.0.0.0/',
  'https://10.1.2.3/',
  'https://100.64.0.1/',
  'https://169.254.169.254/latest/meta-data/',
  'https://172.16.0.1/',
  'https://172.31.255.255/',
  'https://192.168.1.1/',
  'https://192.0.0.170/',
  'https://192.0.2.1/',
  'https://198.18.0.1/',
  'https://198.51.100.7/',
  'https://203.0.113.9/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[::]/',
  'https://[::1]/',
  'https://[0:0:0:0:0:0:0:1]/',
  'https://[::127.0.0.1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:7f00:1]/',
  'https://[::ffff:169.254.169.254]/',
  'https://[::ffff:0:127.0.0.1]/',
  'https://[::f:0:0]/',
  'https://[200::1]/',
  'https://[5f00::1]/',
  'https://[4000::1]/',
  'https://[e000::1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[64:ff9b::10.0.0.1]/',
  'https://[64:ff9b:1::1]/',
  'https://[2001::1]/',
  'https://[2001:db8::1]/',
  'https://[2002:7f00:1::]/',
  'https://[fc00::1]/',
  'https://[fd00:ec2::254]/',
  'https://[fe80::1]/',
  'https://[fec0::1]/',
  'https://[ff02::1]/',
  'https://localhost/',
  'https://localhost./',
  'https://LOCALHOST/',
  'https://a.localhost/',
  'https://metadata.google.internal/',
  'https://printer.local/',
  'https://user@example.com/',
  'https://user:secret@example.com/',
  'https://@example.com/',
  'https:\\\\example.com\\',
  'https://example.com:0/',
  'https://example.com:22/',
  'https://example.com:25/',
  'https://example.com:65536/',
  'https://example.com/#fragment',
  'https://exa mple.com/',
  'https:///',
  'ftp://example.com/',
  'file:///etc/passwd',
  'gopher://example.com/',
  'javascript:alert(1)',
  'data:text/plain,x',
  '//example.com/',
  '/hook',
  '',
];

describe('targets', () => {
  const rules = createTargetRules([]);

  test.each(forbidden)('refused: %s', (url) => {
    expect(() => rules.check(url)).toThrow(/url|Port/);
  });

  test.each([
    'https://example.com/hook',
    'https://example.com:8443/hook?a=b',
    'https://93.184.216.34/',
    'https://[2606:2800:220:1::1]/',
  ])('taken: %s', (url) => {
    expect(rules.check(url).href).toBe(new URL(url).href);
  });

  test('the address is judged when it is connected to, for any name', () => {
    expect(rules.mayConnect('example.com', 443, '93.184.216.34')).toBe(true);
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', 'fe80::1%eth0'])
      expect(rules.mayConnect('example.com', 443, address)).toBe(false);
    expect(rules.mayConnect('example.com', 22, '93.184.216.34')).toBe(false);
  });

  test('an operator may name an address, a network, a host, all below a name, and a port of them', () => {
    const named = createTargetRules([
      '127.0.0.1:9000',
      '10.0.0.0/8',
      '[::1]:80',
      'hooks.example',
      '*.corp.example',
      'fd00::/8',
    ]);
    for (const url of [
      'http://127.0.0.1:9000/',
      'http://10.9.8.7/x',
      'http://[::1]/',
      'http://hooks.example/',
      'https://a.b.corp.example:22/',
    ])
      expect(named.check(url).href).toBe(new URL(url).href);
    for (const url of ['http://127.0.0.1:9001/', 'http://11.0.0.1/', 'http://[::1]:81/'])
      expect(() => named.check(url)).toThrow();
    expect(named.mayConnect('hooks.example', 80, '127.0.0.1')).toBe(true);
    expect(named.mayConnect('db.example', 443, '10.1.1.1')).toBe(true);
    expect(named.mayConnect('corp.example', 443, '127.0.0.1')).toBe(false);
    expect(named.mayConnect('x', 443, 'fd12::1')).toBe(true);
  });

  test.each(['', '*', 'a b', 'http://x', '10.0.0.0/8/9', '*.*.x', '10.0.0.0/33', '::/129', 'a:65536', 'a:0'])(
    'an invalid entry stops the start: %j',
    (entry) => {
      expect(() => createTargetRules([entry])).toThrow(/^webhooks\.allowTargets: /);
    },
  );

  test('any IPv4 address is judged alike, written plainly or mapped into IPv6', () => {
    const part = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(part, part, part, part), (parts) => {
        const plain = parts.join('.');
        expect(isBlockedAddress(`::ffff:${plain}`)).toBe(isBlockedAddress(plain));
      }),
    );
  });
});

describe('CloudEvents in the binary mode', () => {
  const place = { epoch: '000000', seq: 1, offset: 1, tag: '0000000000000000' };
  const contentTypeOf = (type: string) =>
    deliveryOf(
      new Message('a', place, { id: 'i', timeMs: 0, type, payload: Buffer.from('x') }),
      'cloudevents-binary',
    ).headers['Content-Type'];

  test('a type keeps its parameters where a field of HTTP can carry them', () => {
    expect(contentTypeOf('text/plain;\tcharset=utf-8')).toBe('text/plain;\tcharset=utf-8');
  });

  test.each(['text/plain; title="\u4e2d"', 'text/plain; title="\u00e4"', 'text/plain ;\u2001'])(
    'otherwise it goes without, because Node sends no such field and the endpoint would be held up for ever: %j',
    (type) => {
      expect(contentTypeOf(type)).toBe('text/plain');
    },
  );
});
