import { EverywireError, parseFilter } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { createTokenAccess, createTokens } from '../../src/auth/access.ts';
import { Revocations } from '../../src/auth/revocations.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import type { Credentials, Identity } from '../../src/core/sessions/access.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { MemoryRecords } from '../../src/stores/memory/records.ts';
import { HandClock } from './hand-clock.ts';

async function rig({ hasCertificates = true } = {}) {
  const clock = new HandClock();
  const limits = defaultLimits;
  const tickets = new Tickets({ clock, random: createSystemRandom(), limits });
  const revocations = new Revocations({ clock, limits, leewayMs: 0 });
  await revocations.load(new MemoryRecords());
  const identify = (subject: string): Identity => ({
    subject,
    isAdmin: subject === 'root',
    claims: {
      subscribe: [`own/${subject}/**`],
      publish: [],
      issuedAtMs: clock.nowMs(),
      expiresAtMs: clock.nowMs() + 60_000,
    },
  });
  const verifier = {
    verify: async (token: string): Promise<Identity> => {
      if (!/^[a-z]+$/.test(token)) throw new EverywireError('unauthorized', 'No token.');
      return identify(token);
    },
  };
  const certificates = hasCertificates
    ? (subject: string): Identity => ({
        subject,
        isAdmin: false,
        claims: { subscribe: ['certified'], publish: [], expiresAtMs: Number.MAX_SAFE_INTEGER },
      })
    : undefined;
  const access = createTokenAccess({ verifier, tickets, revocations, certificates, limits, clock });
  const tokens = createTokens({ tickets, revocations });
  const show = (shown: Partial<Credentials>) =>
    access.authenticate({ token: undefined, address: undefined, ...shown });
  return { clock, access, tokens, show };
}

const unauthorized = { code: 'unauthorized' };
const filter = (text: string) => parseFilter(text, defaultLimits);

describe('a client that shows', () => {
  it('a token is its subject', async () => {
    const { show } = await rig();
    expect(await show({ token: 'ann' })).toMatchObject({ subject: 'ann', isAdmin: false });
    await expect(show({ token: '??' })).rejects.toMatchObject(unauthorized);
    await expect(show({ token: '' })).rejects.toMatchObject(unauthorized);
    await expect(show({})).rejects.toMatchObject(unauthorized);
  });

  it('a ticket is the client that asked for it, in place of a token too, once', async () => {
    const { show, tokens } = await rig();
    const ann = await show({ token: 'ann' });
    const [first, second] = [tokens.issueTicket(ann).ticket, tokens.issueTicket(ann).ticket];
    expect((await show({ ticket: first })).claims).toBe(ann.claims);
    expect((await show({ token: second })).subject).toBe('ann');
    for (const ticket of [first, second]) {
      await expect(show({ ticket })).rejects.toMatchObject(unauthorized);
      await expect(show({ token: ticket })).rejects.toMatchObject(unauthorized);
    }
    await expect(show({ ticket: '' })).rejects.toMatchObject(unauthorized);
  });

  it('a ticket with the token of another subject is refused', async () => {
    const { show, tokens } = await rig();
    const ann = await show({ token: 'ann' });
    const ticket = (): string => tokens.issueTicket(ann).ticket;
    await expect(show({ ticket: ticket(), token: 'bob' })).rejects.toMatchObject(unauthorized);
    expect((await show({ ticket: ticket(), token: 'ann' })).subject).toBe('ann');
    await expect(show({ ticket: ticket(), token: '??' })).rejects.toMatchObject(unauthorized);
    await expect(show({ ticket: 'ewt_no', token: 'ann' })).rejects.toMatchObject(unauthorized);
  });

  it('a ticket of a token that expired or was revoked meanwhile is refused', async () => {
    const { clock, show, tokens } = await rig();
    const [ann, bob] = [await show({ token: 'ann' }), await show({ token: 'bob' })];
    const { ticket: revoked } = tokens.issueTicket(ann);
    await tokens.revoke({ subject: 'ann' });
    await expect(show({ ticket: revoked })).rejects.toMatchObject(unauthorized);
    clock.pass(50_000);
    const { ticket: expired } = tokens.issueTicket(bob);
    clock.pass(10_000);
    await expect(show({ ticket: expired })).rejects.toMatchObject(unauthorized);
  });

  it('a client certificate is its subject, with the rights of certificates, or of a token of the same subject', async () => {
    const { access, show } = await rig();
    const alone = await show({ certificate: 'ann' });
    expect(alone.subject).toBe('ann');
    access.authorizeSubscribe(alone, filter('certified'));
    const both = await show({ certificate: 'ann', token: 'ann' });
    access.authorizeSubscribe(both, filter('own/ann/x'));
    expect(() => access.authorizeSubscribe(both, filter('certified'))).toThrow(EverywireError);
    await expect(show({ certificate: 'ann', token: 'bob' })).rejects.toMatchObject(unauthorized);
  });

  it('a client certificate alone is refused where certificates have no rights', async () => {
    const { show } = await rig({ hasCertificates: false });
    await expect(show({ certificate: 'ann' })).rejects.toMatchObject(unauthorized);
    expect((await show({ certificate: 'ann', token: 'ann' })).subject).toBe('ann');
    await expect(show({ certificate: 'ann', token: 'bob' })).rejects.toMatchObject(unauthorized);
  });
});

describe('granted rights', () => {
  it('holds until it expires', async () => {
    const { access, clock, show } = await rig();
    const ann = await show({ token: 'ann' });
    clock.pass(59_999);
    access.checkCurrent(ann);
    clock.pass(1);
    expect(() => access.checkCurrent(ann)).toThrow(expect.objectContaining(unauthorized));
  });

  it('holds until it is revoked; a token of the next second is good again', async () => {
    const { access, clock, show, tokens } = await rig();
    const [ann, bob] = [await show({ token: 'ann' }), await show({ token: 'bob' })];
    const hits: boolean[][] = [];
    access.onRevoked((isHit) => hits.push([isHit(ann), isHit(bob)]));
    await tokens.revoke({ subject: 'ann' });
    expect(hits).toEqual([[true, false]]);
    expect(() => access.checkCurrent(ann)).toThrow(expect.objectContaining(unauthorized));
    access.checkCurrent(bob);
    await expect(show({ token: 'ann' })).rejects.toMatchObject(unauthorized);
    await expect(show({ certificate: 'ann' })).rejects.toMatchObject(unauthorized);
    clock.pass(1_000);
    await show({ token: 'ann' });
    expect(() => access.checkCurrent(ann)).toThrow(expect.objectContaining(unauthorized));
  });

  it('is what its rules say', async () => {
    const { access, show } = await rig();
    const [ann, root] = [await show({ token: 'ann' }), await show({ token: 'root' })];
    access.authorizeSubscribe(ann, filter('own/ann/*'));
    expect(access.deliverable(ann, filter('own/ann/*'))).toBeUndefined();
    const forbidden = expect.objectContaining({ code: 'forbidden' });
    expect(() => access.authorizeSubscribe(ann, filter('own/*/x'))).toThrow(forbidden);
    expect(() => access.authorizePublish(ann, 'own/ann/x')).toThrow(forbidden);
    expect(() => access.authorizeAdmin(ann, 'delete a channel')).toThrow(forbidden);
    access.authorizeAdmin(root, 'delete a channel');
  });

  it('is nothing to an identity from when authentication was off', async () => {
    const { access } = await rig();
    const old: Identity = { subject: undefined, isAdmin: true };
    const forbidden = expect.objectContaining({ code: 'forbidden' });
    expect(() => access.checkCurrent(old)).toThrow(expect.objectContaining(unauthorized));
    expect(() => access.authorizeAdmin(old, 'delete a channel')).toThrow(forbidden);
    expect(() => access.authorizePublish(old, 'a')).toThrow(forbidden);
    expect(() => access.authorizeSubscribe(old, filter('a'))).toThrow(forbidden);
    expect(access.deliverable(old, filter('a'))!('a')).toBe(false);
  });
});
