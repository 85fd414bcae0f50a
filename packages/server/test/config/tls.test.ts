import { expect, test } from 'vitest';
import { completeConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { ConfigError } from '../../src/config/settings.ts';

function problemsOf(input: ConfigInput): readonly string[] {
  try {
    completeConfig(input);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

const pair = { cert: 'cert.pem', key: 'key.pem' };

test.each<[ConfigInput, string]>([
  [{ tls: { cert: 'cert.pem' } }, 'tls.cert needs tls.key beside it.'],
  [{ tls: { key: 'key.pem' } }, 'tls.key needs tls.cert beside it.'],
  [{ tls: { passphrase: 'secret' } }, 'tls.key needs tls.cert beside it.'],
  [{ tls: { clientCa: 'ca.pem' } }, 'tls.cert is not set, and without TLS there are no client certificates.'],
  [
    { tls: { ...pair, clientCertificates: 'require' } },
    'tls.clientCertificates require needs tls.clientCa to verify them.',
  ],
  [
    { tls: { ...pair, subjectFrom: 'cn' } },
    'tls.subjectFrom cn needs tls.clientCertificates request or require.',
  ],
  [{ mqtt: { tlsPort: 8883 } }, 'mqtt.tlsPort 8883 needs a certificate: tls.cert and tls.key.'],
  [{ stomp: { tlsPort: 0 } }, 'stomp.tlsPort 0 needs a certificate: tls.cert and tls.key.'],
])('%j is refused', (input, problem) => {
  const problems = problemsOf(input);
  expect(problems).toContain(problem);
  expect(problems.join()).not.toContain('secret');
});

test.each<[ConfigInput]>([
  [{}],
  [{ mqtt: { tlsPort: -1 }, stomp: { tlsPort: -1 } }],
  [{ tls: pair }],
  [{ tls: { ...pair, clientCa: 'ca.pem', clientCertificates: 'require', subjectFrom: 'san-uri' } }],
])('%j is good', (input) => {
  expect(problemsOf(input)).toEqual([]);
});

test('a certificate opens no public address', () => {
  expect(problemsOf({ tls: pair, http: { host: '0.0.0.0' } }).join()).toContain('0.0.0.0');
  expect(problemsOf({ tls: pair, http: { host: '0.0.0.0' }, insecure: true })).toEqual([]);
});
