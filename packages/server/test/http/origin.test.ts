import { describe, expect, it } from 'vitest';
import { AllowedOrigins, hostsOnLoopback, isOriginAllowed, serializeOrigin } from '../../src/http/origin.ts';

const host = '127.0.0.1:8080';
const listed = new AllowedOrigins(['https://app.example.com']);
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

  it.each([
    ['https://app.example', ['https://app.example:443', 'HTTPS://APP.example', 'https://app.example:0443']],
    ['http://app.example:80', ['http://app.example']],
    ['https://bücher.example', ['https://xn--bcher-kva.example', 'https://BÜCHER.example']],
    ['http://[::1]:5173', ['http://[::1]:5173']],
    ['capacitor://localhost', ['capacitor://localhost', 'CAPACITOR://LOCALHOST']],
    ['tauri://localhost', ['tauri://localhost']],
    ['chrome-extension://abcdefgh', ['chrome-extension://abcdefgh']],
    ['null', ['null']],
  ])('takes what a browser sends for the listed %s', (one, origins) => {
    const allowed = new AllowedOrigins([one]);
    for (const origin of [one, ...origins]) expect([origin, allowed.has(origin)]).toEqual([origin, true]);
    for (const origin of ['https://evil.example', 'http://app.example:8080', 'capacitor://evil', 'NULL'])
      expect([origin, allowed.has(origin)]).toEqual([origin, false]);
  });

  it.each([
    'app.example',
    'https://',
    'https://*.example',
    'https://app.example/',
    'https://user@app.example',
    'https://app.example:65536',
    'https://app.example:port',
    'https://app%2eexample',
    'https:\\\\app.example',
    'https://a b.example',
  ])('knows that %s is no origin', (text) => {
    expect(serializeOrigin(text)).toBeUndefined();
    expect(new AllowedOrigins([text]).has(text)).toBe(false);
  });

  it('allows every page of this machine in development', () => {
    const dev = new AllowedOrigins(['dev']);
    for (const origin of [
      'http://localhost:5173',
      'https://127.0.0.1',
      'http://[::1]:3000',
      'http://app.localhost',
    ])
      expect([origin, dev.has(origin)]).toEqual([origin, true]);
    for (const origin of [
      'http://localhost.evil.example',
      'http://127.0.0.1.nip.io',
      'null',
      'dev',
      'http://10.0.0.1',
    ])
      expect([origin, dev.has(origin)]).toEqual([origin, false]);
  });

  it('knows the names of a server on loopback', () => {
    const isHost = hostsOnLoopback(['https://app.example:8443', 'null', 'dev']);
    for (const host of [
      'localhost',
      'LOCALHOST:8080',
      '127.0.0.1:8080',
      '127.1.2.3',
      '[::1]:80',
      'a.localhost',
      'app.example',
      'app.example:8080',
    ])
      expect([host, isHost(host)]).toEqual([host, true]);
    for (const host of [
      '',
      'evil.example',
      'localhost.evil.example:8080',
      '127.0.0.1.nip.io',
      '192.168.0.1',
      'null',
      'dev',
      '0.0.0.0',
    ])
      expect([host, isHost(host)]).toEqual([host, false]);
  });
});
