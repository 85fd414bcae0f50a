import { expect, test } from 'vitest';
import { subjectOf, type CertifiedNames } from '../../src/tls/subject.ts';

const names = (subjectaltname: string): CertifiedNames => ({ subjectaltname });

test.each([
  ['cn', { subject: { CN: 'alice' } }, 'alice'],
  ['cn', { subject: { CN: ['alice', 'bob'] } }, undefined],
  ['cn', { subject: { CN: '' } }, undefined],
  ['cn', { subject: {} }, undefined],
  ['cn', {}, undefined],
  ['none', { subject: { CN: 'alice' }, subjectaltname: 'DNS:a' }, undefined],
  ['san-dns', names('DNS:a.example'), 'a.example'],
  ['san-dns', names('email:a@b.example, DNS:a.example, URI:urn:a'), 'a.example'],
  ['san-dns', names('DNS:a.example, DNS:b.example'), undefined],
  ['san-email', names('email:a@b.example, DNS:a.example'), 'a@b.example'],
  ['san-uri', names('URI:spiffe://example.org/service/a, DNS:a'), 'spiffe://example.org/service/a'],
  ['san-uri', names('IP Address:127.0.0.1'), undefined],
  ['san-uri', {}, undefined],
  // What holds a comma or a quote is quoted by Node (CVE-2021-44532), and is one name.
  ['san-uri', names('URI:"http://a/, DNS:admin"'), 'http://a/, DNS:admin'],
  ['san-dns', names('URI:"http://a/, DNS:admin"'), undefined],
  ['san-dns', names('URI:"http://a/\\", DNS:admin", DNS:a.example'), 'a.example'],
  ['san-email', names('DNS:"a, email:admin@example.org", email:b@example.org'), 'b@example.org'],
] as const)('the subject by %s of %j is %j', (from, certificate, expected) => {
  expect(subjectOf(certificate, from)).toBe(expected);
});
