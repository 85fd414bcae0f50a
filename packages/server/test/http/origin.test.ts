import { describe, expect, it } from 'vitest';
import { isOriginAllowed } from '../../src/http/origin.ts';

const host = '127.0.0.1:8080';
const listed = new Set(['https://app.example.com']);
const isAllowed = (origin?: string) =>
  isOriginAllowed({ headers: origin === undefined ? { host } : { host, origin } }, listed);

describe('origin', () => {
  it('lets programs in, pages of this server, and pages that are listed', () => {
    expect(isAllowed()).toBe(true);
    expect(isAllowed('http://127.0.0.1:8080')).toBe(true);
    expect(isAllowed('https://app.example.com')).toBe(true);
  });

  it.each([
    'null',
    '',
    'http://127.0.0.1:8081',
    'http://localhost:8080',
    'http://app.example.com',
    'https://app.example.com.evil.com',
    'https://evil.com/app.example.com',
    'https://APP.example.com',
    'https://app.example.com.',
    'https://user@app.example.com',
    ' https://app.example.com',
    'https://sub.app.example.com',
    'https://app.example.com, https://evil.com',
  ])('refuses %j', (origin) => {
    expect(isAllowed(origin)).toBe(false);
  });

  const isOwn = (origin: string, at: string, isEncrypted = false) =>
    isOriginAllowed(
      { headers: { host: at, origin }, socket: isEncrypted ? { encrypted: true } : {} },
      new Set(),
    );

  it('distinguishes its own http and https', () => {
    expect(isOwn('http://a.example:8080', 'a.example:8080')).toBe(true);
    expect(isOwn('https://a.example:8080', 'a.example:8080')).toBe(true);
    expect(isOwn('https://a.example:8443', 'a.example:8443', true)).toBe(true);
    expect(isOwn('http://a.example:8443', 'a.example:8443', true)).toBe(false);
    expect(isOwn('http://a.example', 'a.example', true)).toBe(false);
  });

  it('takes https for its own where TLS may have ended in front', () => {
    expect(isOwn('https://a.example', 'a.example')).toBe(true);
    expect(isOwn('http://a.example', 'a.example')).toBe(true);
    expect(isOwn('https://[::1]', '[::1]')).toBe(true);
  });
});
