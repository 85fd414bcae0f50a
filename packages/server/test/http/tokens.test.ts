import { EverywireError } from '@everywire/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { AllowedOrigins } from '../../src/http/origin.ts';
import { openAccess, type Access, type Credentials, type Tokens } from '../../src/core/sessions/access.ts';
import { startRig, type Rig, type RigOptions } from './rig.ts';
import { WireClient } from '../../../../test/clients/http/wire-client.ts';

/** `ann` and `admin` are tokens, their subjects' names; everything else is refused. */
function namedAccess(shown: Credentials[]): Access {
  return {
    ...openAccess,
    async authenticate(credentials) {
      shown.push(credentials);
      const { token, ticket } = credentials;
      const subject = token ?? (ticket === 'ticket of ann' ? 'ann' : undefined);
      if (subject !== 'ann' && subject !== 'admin')
        throw new EverywireError('unauthorized', 'Not one of the names.');
      return { subject, isAdmin: subject === 'admin' };
    },
    authorizeAdmin({ isAdmin }, action) {
      if (!isAdmin) throw new EverywireError('forbidden', `Only an administrator may ${action}.`);
    },
  };
}

let rig: Rig;
afterEach(() => rig.stop());

async function start(front: RigOptions['front'] = {}): Promise<{ shown: Credentials[]; revoked: unknown[] }> {
  const shown: Credentials[] = [];
  const revoked: unknown[] = [];
  const tokens: Tokens = {
    issueTicket: ({ subject }) => {
      if (subject === 'admin')
        throw new EverywireError('rate_limited', 'Too many.', { retryAfterMs: 30_000 });
      return { ticket: `ticket of ${subject}`, expiresAtMs: Date.UTC(2026, 0, 1) };
    },
    revoke: async (what) => void revoked.push(what),
  };
  rig = await startRig({ access: namedAccess(shown), front: { tokens, ...front } });
  return { shown, revoked };
}

function ask(target: string, { token, ...init }: RequestInit & { token?: string } = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return fetch(rig.front.url + target, { ...init, headers });
}

function revoke(body: unknown, token = 'admin'): Promise<Response> {
  const headers = { 'Content-Type': 'application/json' };
  return ask('/tokens/revoke', { method: 'POST', token, headers, body: JSON.stringify(body) });
}

describe('POST /tickets', () => {
  it('gives a ticket, which works like a token', async () => {
    await start();
    const made = await ask('/tickets', { method: 'POST', token: 'ann' });
    expect(made.status).toBe(201);
    expect(made.headers.get('cache-control')).toBe('no-store');
    expect(await made.json()).toEqual({ ticket: 'ticket of ann', expiresAt: '2026-01-01T00:00:00.000Z' });
    expect((await ask('/channels/a?ticket=ticket+of+ann')).status).toBe(200);
  });

  it('needs to know the subject', async () => {
    await start();
    const anonymous = await ask('/tickets', { method: 'POST' });
    expect([anonymous.status, anonymous.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const stranger = await ask('/tickets', { method: 'POST', token: 'eve' });
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
  });

  it('answers 429 with Retry-After to a client that asks for too many', async () => {
    await start();
    const answer = await ask('/tickets', { method: 'POST', token: 'admin' });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '30']);
  });

  it('has OPTIONS, Allow and nothing else', async () => {
    await start();
    const options = await ask('/tickets', { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'OPTIONS, POST']);
    const got = await ask('/tickets', { token: 'ann' });
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'OPTIONS, POST']);
  });

  it('says so where authentication is off', async () => {
    rig = await startRig();
    for (const target of ['/tickets', '/tokens/revoke']) {
      const headers = { 'Content-Type': 'application/json' };
      const answer = await ask(target, { method: 'POST', headers, body: '{"sub":"ann"}' });
      expect([answer.status, await answer.json()]).toEqual([
        404,
        expect.objectContaining({
          code: 'not_found',
          detail: expect.stringContaining('Authentication is off') as string,
        }),
      ]);
    }
  });
});

describe('POST /tokens/revoke', () => {
  it('revokes a subject, or one token', async () => {
    const { revoked } = await start();
    for (const [body, what] of [
      [{ sub: 'ann' }, { subject: 'ann' }],
      [{ jti: 'j-1' }, { tokenId: 'j-1' }],
      [{ sub: '__proto__' }, { subject: '__proto__' }],
    ] as const) {
      const answer = await revoke(body);
      expect([answer.status, await answer.json()]).toEqual([200, { revoked: body }]);
      expect(revoked.at(-1)).toEqual(what);
    }
  });

  it('is for administrators', async () => {
    const { revoked } = await start();
    const answer = await revoke({ sub: 'admin' }, 'ann');
    expect(answer.status).toBe(403);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"');
    expect((await revoke({ sub: 'admin' }, 'eve')).status).toBe(401);
    expect(revoked).toEqual([]);
  });

  it.each([
    {},
    { sub: 'a', jti: 'b' },
    { sub: '' },
    { sub: 'x'.repeat(256) },
    { sub: 1 },
    { sub: ['a'] },
    { subject: 'a' },
    [],
    null,
  ])('refuses %j', async (body) => {
    const { revoked } = await start();
    expect((await revoke(body)).status).toBe(422);
    expect(revoked).toEqual([]);
  });
});

describe('requests that show nothing good', () => {
  it('are refused before their body is read', async () => {
    await start();
    for (const target of ['/channels/a', '/publish', '/tokens/revoke', '/tickets']) {
      await using client = new WireClient(rig.port);
      await client.send(
        `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n[`,
      );
      expect((await client.answer()).status).toBe(401);
    }
  });

  it('find the metrics where anyone may read them, and not where administrators may', async () => {
    await start();
    expect((await ask('/metrics')).status).toBe(200);
    await rig.stop();
    await start({ metricsAccess: 'admin' });
    expect((await ask('/metrics')).status).toBe(401);
    expect((await ask('/metrics', { token: 'ann' })).status).toBe(403);
    expect((await ask('/metrics', { token: 'admin' })).status).toBe(200);
    expect((await ask('/livez')).status).toBe(200);
  });
});

describe('a page of a listed origin', () => {
  const origin = 'https://app.example';

  it('may read refusals too, also where the body was not read', async () => {
    await start({ allowedOrigins: new AllowedOrigins([origin]) });
    const refused = await ask('/channels/a', { headers: { origin } });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('access-control-allow-origin')).toBe(origin);
    expect(refused.headers.get('access-control-expose-headers')).toContain('WWW-Authenticate');
    await using client = new WireClient(rig.port);
    await client.send(
      `POST /channels/a HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nContent-Length: 9\r\n\r\n`,
    );
    expect((await client.answer()).headers.get('access-control-allow-origin')).toBe(origin);
  });

  it('may show cookies only where they count', async () => {
    const credentials = async (): Promise<string | null> =>
      (await ask('/channels/a', { headers: { origin } })).headers.get('access-control-allow-credentials');
    await start({ allowedOrigins: new AllowedOrigins([origin]) });
    expect(await credentials()).toBeNull();
    await rig.stop();
    const { shown } = await start({ allowedOrigins: new AllowedOrigins([origin]), cookie: 'session' });
    expect(await credentials()).toBe('true');
    const answer = await ask('/channels/a', { headers: { origin, cookie: 'session=ann' } });
    expect(answer.status).toBe(200);
    expect(shown.at(-1)).toMatchObject({ token: 'ann' });
    const fromNowhere = await ask('/channels/a', { headers: { cookie: 'session=ann' } });
    expect(fromNowhere.status).toBe(401);
  });
});
