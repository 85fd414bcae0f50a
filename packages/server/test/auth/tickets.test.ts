import { describe, expect, it } from 'vitest';
import { isTicket, Tickets } from '../../src/auth/tickets.ts';
import type { Identity } from '../../src/core/sessions/access.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { HandClock } from './hand-clock.ts';

function rig(limits: Partial<typeof defaultLimits> = {}) {
  const clock = new HandClock();
  const tickets = new Tickets({
    clock,
    random: createSystemRandom(),
    limits: { ...defaultLimits, ...limits },
  });
  return { clock, tickets };
}

const of = (subject: string, expiresAtMs = Number.MAX_SAFE_INTEGER): Identity => ({
  subject,
  isAdmin: false,
  claims: { subscribe: ['**'], publish: [], expiresAtMs },
});

describe('a ticket', () => {
  it('authenticates its subject, once', () => {
    const { clock, tickets } = rig();
    const ann = of('ann');
    const { ticket, expiresAtMs } = tickets.issue(ann);
    expect(isTicket(ticket)).toBe(true);
    expect(Buffer.from(ticket.slice(4), 'base64url')).toHaveLength(32);
    expect(expiresAtMs).toBe(clock.nowMs() + 30_000);
    expect(tickets.take(ticket)).toBe(ann);
    expect(() => tickets.take(ticket)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });

  it('is invalid after 30 s, with any wall clock', () => {
    const { clock, tickets } = rig();
    const { ticket: early } = tickets.issue(of('ann'));
    const { ticket: late } = tickets.issue(of('ann'));
    clock.pass(29_999);
    clock.wallMs += 3_600_000;
    tickets.take(early);
    clock.wallMs -= 7_200_000;
    clock.pass(1);
    expect(() => tickets.take(late)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });

  it('says that it ends with its token', () => {
    const { clock, tickets } = rig();
    expect(tickets.issue(of('ann', clock.nowMs() + 5_000)).expiresAtMs).toBe(clock.nowMs() + 5_000);
  });

  it.each(['', 'ewt_', 'ewt_AAAA', '__proto__'])('is not %j', (text) => {
    expect(() => rig().tickets.take(text)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });

  it('is refused to a subject with many unused ones, and to no other', () => {
    const { clock, tickets } = rig({ ticketsPerSubjectMax: 2, ticketsMax: 3 });
    tickets.issue(of('ann'));
    const { ticket } = tickets.issue(of('ann'));
    const refusal = expect.objectContaining({ code: 'rate_limited', retryAfterMs: 30_000 });
    expect(() => tickets.issue(of('ann'))).toThrow(refusal);
    tickets.issue(of('bob'));
    expect(() => tickets.issue(of('cid'))).toThrow(refusal);
    tickets.take(ticket);
    tickets.issue(of('ann'));
    clock.pass(30_000);
    tickets.issue(of('cid'));
    tickets.issue(of('ann'));
    tickets.issue(of('ann'));
    expect(() => tickets.issue(of('ann'))).toThrow(refusal);
  });
});
