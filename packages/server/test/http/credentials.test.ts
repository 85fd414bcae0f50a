import type { IncomingMessage } from 'node:http';
import { EverywireError } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { AllowedOrigins } from '../../src/http/origin.ts';
import type { Credentials } from '../../src/core/sessions/access.ts';
import { Callers, type CallersOptions } from '../../src/http/credentials.ts';

const hub = {
  authenticate: ({ token }: Credentials) =>
    token === 'good'
      ? Promise.resolve({ subject: 'ann', isAdmin: false })
      : Promise.reject(new EverywireError('unauthorized', 'No.')),
};
const host = 'wire.example';
const listed = 'https://app.example';

function callers(options: Partial<CallersOptions> = {}): Callers {
  return new Callers({ hub, allowedOrigins: new AllowedOrigins([listed]), cookie: 'session', ...options });
}

function request(headers: Record<string, string>, url = '/channels/a', socket: object = {}): IncomingMessage {
  return {
    url,
    headers: { host, ...headers },
    socket: { remoteAddress: '192.0.2.1', ...socket },
  } as unknown as IncomingMessage;
}

describe('the credentials of a request', () => {
  it('is a bearer token, a ticket, a certificate, its address and its connection', () => {
    const socket = { remotePort: 5000, localPort: 80 };
    const read = callers({ certificateOf: (asked) => (asked === shown.socket ? 'cn' : undefined) });
    const shown = request({ authorization: 'bearer abc' }, '/ws?ticket=t%2B1', socket);
    expect(read.credentialsOf(shown)).toEqual({
      token: 'abc',
      ticket: 't+1',
      certificate: 'cn',
      address: '192.0.2.1',
      connection: '192.0.2.1 5000 80',
    });
  });

  it.each(['token', 'access_token', 'Ticket', 'jwt'])('is not the parameter %s of the address', (name) => {
    expect(callers().credentialsOf(request({}, `/channels/a?${name}=good`))).toMatchObject({
      token: undefined,
      ticket: undefined,
    });
  });

  it('is not a ticket that is there twice', () => {
    expect(() => callers().credentialsOf(request({}, '/ws?ticket=a&ticket=b'))).toThrow('more than once');
  });
});

describe('a cookie', () => {
  const cookie = 'theme=dark; session=good';
  const tokenOf = (headers: Record<string, string>, options: Partial<CallersOptions> = {}, url?: string) =>
    callers(options).credentialsOf(request({ cookie, ...headers }, url)).token;

  it('counts from pages of this server and of listed origins', () => {
    expect(tokenOf({ origin: `http://${host}` })).toBe('good');
    expect(tokenOf({ origin: listed })).toBe('good');
    expect(tokenOf({ 'sec-fetch-site': 'same-origin' })).toBe('good');
  });

  it.each([
    {},
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
  ])('does not with %j', (headers: Record<string, string>) => {
    expect(tokenOf(headers)).toBeUndefined();
  });

  const own = { origin: listed };

  it('does not while none is configured, nor one of another name', () => {
    expect(tokenOf(own, { cookie: undefined })).toBeUndefined();
    expect(tokenOf({ ...own, cookie: 'xsession=good; sessionx=good; SESSION=good' })).toBeUndefined();
  });

  it('does not replace a token or ticket that is shown', () => {
    expect(tokenOf({ ...own, authorization: 'Bearer other' })).toBe('other');
    expect(tokenOf({ ...own, authorization: 'Basic eDp5' })).toBeUndefined();
    expect(tokenOf(own, {}, '/channels/a?ticket=t')).toBeUndefined();
  });

  it('is refused when there are two', () => {
    expect(() => tokenOf({ ...own, cookie: 'session=good; session=evil' })).toThrow('more than once');
  });
});

describe('a refusal', () => {
  const challengeOf = async (headers: Record<string, string>, url?: string): Promise<unknown> => {
    const refused: unknown = await callers()
      .authenticate(request(headers, url))
      .catch((caught: unknown) => caught);
    expect(refused).toMatchObject({ code: 'unauthorized' });
    return (refused as { headers?: Record<string, string> }).headers?.['WWW-Authenticate'];
  };

  it('answers a request without credentials with the scheme alone', async () => {
    expect(await challengeOf({})).toBe('Bearer');
    expect(await challengeOf({ authorization: 'Basic eDp5' })).toBe('Bearer');
    // All others get what every `unauthorized` has.
    expect(await challengeOf({ authorization: 'Bearer bad' })).toBeUndefined();
    expect(await challengeOf({}, '/ws?ticket=bad')).toBeUndefined();
  });

  it('is absent for a valid token', async () => {
    expect(await callers().authenticate(request({ authorization: 'Bearer good' }))).toMatchObject({
      subject: 'ann',
    });
  });
});
