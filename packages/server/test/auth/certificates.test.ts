import { describe, expect, it } from 'vitest';
import { certificateIdentities } from '../../src/auth/certificates.ts';
import { openAuth } from '../../src/auth/index.ts';
import { completeConfig } from '../../src/config/load.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createLog } from '../../src/telemetry/log.ts';

describe('the rights of certificates', () => {
  it('are those of the configuration, {sub} replaced, without an end', () => {
    const identify = certificateIdentities({ subscribe: ['own/{sub}/**', '!**'] }, defaultLimits);
    expect(identify('device-1')).toEqual({
      subject: 'device-1',
      isAdmin: false,
      claims: {
        subscribe: ['own/device-1/**', '!**'],
        publish: [],
        expiresAtMs: 8.64e15,
      },
    });
  });

  it('are all for administrators without lists', () => {
    const { isAdmin, claims } = certificateIdentities({ admin: true }, defaultLimits)('ops');
    expect({ isAdmin, ...claims }).toMatchObject({ isAdmin: true, subscribe: ['**'], publish: ['**'] });
  });

  it.each(['#', 'a+', '*', '$SYS', 'a/b'])('are for one level where the subject is %j', (subject) => {
    const identify = certificateIdentities({ subscribe: ['own/{sub}'] }, defaultLimits);
    const [rule] = identify(subject).claims!.subscribe;
    expect(rule).toMatch(/^own\/[^/+#*]+$/);
    expect(decodeURIComponent(rule!)).toBe(`own/${subject}`);
  });

  it.each(['', 'a\nb', 'x'.repeat(256)])('give no identity for %j', (subject) => {
    const identify = certificateIdentities({ subscribe: ['own/{sub}'] }, defaultLimits);
    expect(() => identify(subject)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });
});

describe('the configuration', () => {
  const rights = { auth: { certificates: { subscribe: ['a/**'] } } };
  const tls = {
    cert: 'cert.pem',
    key: 'key.pem',
    clientCa: 'ca.pem',
    clientCertificates: 'require',
    subjectFrom: 'cn',
  } as const;

  it('gives certificates rights only where they have subjects', () => {
    expect(() => completeConfig(rights)).toThrow('tls.subjectFrom is not set');
    expect(completeConfig({ ...rights, tls }).config.auth.certificates.subscribe).toEqual(['a/**']);
  });

  it('says which of them is no filter', () => {
    const wrong = { auth: { certificates: { publish: ['a/**/b'] } }, tls };
    expect(() => completeConfig(wrong)).toThrow('auth.certificates: ');
  });

  it('opens a public address with a key or a certificate, and never without', () => {
    const http = { host: '0.0.0.0' };
    expect(() => completeConfig({ http })).toThrow('authentication is off');
    completeConfig({ http, insecure: true });
    completeConfig({ http, tls, ...rights });
    completeConfig({ http, auth: { jwt: { secret: 'a secret that is long enough for HS256' } } });
  });
});

it('without keys and rights of certificates there is no authentication', () => {
  const parts = {
    clock: systemClock,
    random: createSystemRandom(),
    limits: defaultLimits,
    log: createLog({ level: 'silent', format: 'json' }),
  };
  expect(openAuth({ ...parts, issuers: [] })).toBeUndefined();
  expect(openAuth({ ...parts, issuers: [], certificates: { admin: true } })).toBeDefined();
});
