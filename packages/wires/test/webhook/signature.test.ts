import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { checkSecret, createSecret, isSignedBy, signatureOf } from '../../src/webhook/signature.ts';

const hex = (count: number): string => 'a7'.repeat(count);
const secret = createSecret(hex);
const other = createSecret((count) => 'b8'.repeat(count));
const nowSeconds = Math.floor(Date.now() / 1000);
const signed = { id: 'msg_1', timestampSeconds: nowSeconds, body: Buffer.from('{"a":1}') };

test('a receiver with one of the secrets takes what the sender signed, and only that', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), fc.boolean(), (bytes, isFirst) => {
      const given = { ...signed, body: Buffer.from(bytes) };
      const header = signatureOf(given, isFirst ? [secret, other] : [other, secret]);
      expect(isSignedBy(given, header, secret, { nowSeconds })).toBe(true);
      const changed = { ...given, body: Buffer.concat([given.body, Buffer.from('x')]) };
      expect(isSignedBy(changed, header, secret, { nowSeconds })).toBe(false);
      expect(isSignedBy({ ...given, id: 'msg_2' }, header, secret, { nowSeconds })).toBe(false);
      expect(isSignedBy(given, signatureOf(given, [other]), secret, { nowSeconds })).toBe(false);
    }),
  );
});

test.each([
  [300, true],
  [301, false],
  [-300, true],
  [-301, false],
  [Number.NaN, false],
])('%d seconds later: %s', (seconds, isTaken) => {
  const header = signatureOf(signed, [secret]);
  expect(isSignedBy(signed, header, secret, { nowSeconds: nowSeconds + seconds })).toBe(isTaken);
});

test.each(['', 'v1', 'v1,', 'v1,AAAA', 'v2,x', ' , , '])('the header %j proves nothing', (header) => {
  expect(isSignedBy(signed, header, secret, { nowSeconds })).toBe(false);
  const v2 = signatureOf(signed, [secret]).replace('v1,', 'v2,');
  expect(isSignedBy(signed, v2, secret, { nowSeconds })).toBe(false);
});

test('it is what the library of Standard Webhooks signs and verifies', () => {
  const library = new Webhook(checkSecret(secret));
  const header = library.sign(signed.id, new Date(nowSeconds * 1000), signed.body.toString());
  expect(isSignedBy(signed, header, secret, { nowSeconds })).toBe(true);
  expect(
    library.verify(signed.body.toString(), {
      'webhook-id': signed.id,
      'webhook-timestamp': String(nowSeconds),
      'webhook-signature': signatureOf(signed, [other, secret]),
    }),
  ).toEqual({ a: 1 });
});
