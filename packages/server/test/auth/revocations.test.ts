import { describe, expect, it } from 'vitest';
import { Revocations } from '../../src/auth/revocations.ts';
import type { Identity } from '../../src/core/sessions/access.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import type { RecordStore } from '../../src/core/seams/store.ts';
import { MemoryRecords } from '../../src/stores/memory/records.ts';
import { HandClock } from './hand-clock.ts';

interface RigOptions {
  readonly records?: RecordStore;
  readonly clock?: HandClock;
  readonly revocationsMax?: number;
  readonly leewayMs?: number;
}

async function rig({
  records = new MemoryRecords(),
  clock = new HandClock(),
  revocationsMax = defaultLimits.revocationsMax,
  leewayMs = 0,
}: RigOptions = {}) {
  const revocations = new Revocations({ clock, limits: { revocationsMax }, leewayMs });
  await revocations.load(records);
  return { clock, records, revocations };
}

interface Said {
  readonly issuedAtMs?: number;
  readonly tokenId?: string;
}

const of = (subject: string, said: Said = {}): Identity => ({
  subject,
  isAdmin: false,
  claims: { subscribe: [], publish: [], expiresAtMs: Number.MAX_SAFE_INTEGER, ...said },
});

describe('revoking a subject', () => {
  it('hits its tokens that were issued until now, in whole seconds, and those that do not say when', async () => {
    const { clock, revocations } = await rig();
    clock.wallMs += 400;
    const nowMs = clock.nowMs();
    const second = nowMs - 400;
    expect(revocations.isRevoked(of('ann', { issuedAtMs: second }))).toBe(false);
    await revocations.add({ subject: 'ann' });
    expect(
      [second - 1_000, second, nowMs, second + 999, second + 1_000, second + 1_001].map((issuedAtMs) =>
        revocations.isRevoked(of('ann', { issuedAtMs })),
      ),
    ).toEqual([true, true, true, true, false, false]);
    expect(revocations.isRevoked(of('ann'))).toBe(true);
    expect(revocations.isRevoked(of('bob', { issuedAtMs: second - 5_000 }))).toBe(false);
    clock.pass(60_000);
    await revocations.add({ subject: 'ann' });
    expect(revocations.isRevoked(of('ann', { issuedAtMs: second + 30_000 }))).toBe(true);
  });

  it('ends tokens of an issuer whose clock is ahead by less than the leeway', async () => {
    const { clock, revocations } = await rig({ leewayMs: 10_000 });
    await revocations.add({ subject: 'ann' });
    expect(revocations.isRevoked(of('ann', { issuedAtMs: clock.nowMs() + 10_000 }))).toBe(true);
    expect(revocations.isRevoked(of('ann', { issuedAtMs: clock.nowMs() + 11_000 }))).toBe(false);
  });

  it('takes any name', async () => {
    const { records, revocations } = await rig();
    for (const subject of ['__proto__', 'jti:ann', 'a\0b', 'ü'.repeat(127)]) {
      expect(revocations.isRevoked(of(subject))).toBe(false);
      await revocations.add({ subject });
      expect(revocations.isRevoked(of(subject))).toBe(true);
    }
    expect(revocations.isRevoked(of('ann', { tokenId: 'ann' }))).toBe(false);
    expect(await records.list('auth-revocations', '', undefined, 9)).toHaveLength(4);
    for (const subject of ['', 'ü'.repeat(128)])
      await expect(revocations.add({ subject })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('revoking a token', () => {
  it('hits it, and no other of its subject', async () => {
    const { revocations } = await rig();
    await revocations.add({ tokenId: 'one' });
    expect(revocations.isRevoked(of('ann', { tokenId: 'one' }))).toBe(true);
    expect(revocations.isRevoked(of('ann', { tokenId: 'two' }))).toBe(false);
    expect(revocations.isRevoked(of('one'))).toBe(false);
  });
});

describe('a revocation', () => {
  it('is announced once it is durable, with the subjects that it hits', async () => {
    const order: string[] = [];
    class Slow extends MemoryRecords {
      override async write(...args: Parameters<MemoryRecords['write']>): Promise<void> {
        await new Promise((resolve) => setImmediate(resolve));
        await super.write(...args);
        order.push('written');
      }
    }
    const { revocations } = await rig({ records: new Slow() });
    const people = [of('ann'), of('bob'), of('ann', { tokenId: 'one' }), of('bob', { tokenId: 'one' })];
    const hits: boolean[][] = [];
    revocations.onAdded((isHit) => {
      order.push('told');
      hits.push(people.map((identity) => isHit(identity)));
    });
    await Promise.all([revocations.add({ subject: 'ann' }), revocations.add({ tokenId: 'one' })]);
    expect(order).toEqual(['written', 'told', 'written', 'told']);
    expect(hits).toEqual([
      [true, false, true, false],
      [false, false, true, true],
    ]);
  });

  it('is not in force when it could not be stored, and the next one is', async () => {
    let fails = true;
    class Failing extends MemoryRecords {
      override async write(...args: Parameters<MemoryRecords['write']>): Promise<void> {
        if (fails) throw new Error('no disk');
        await super.write(...args);
      }
    }
    const { revocations } = await rig({ records: new Failing() });
    await expect(revocations.add({ subject: 'ann' })).rejects.toThrow('no disk');
    expect(revocations.isRevoked(of('ann'))).toBe(false);
    fails = false;
    await revocations.add({ subject: 'ann' });
    expect(revocations.isRevoked(of('ann'))).toBe(true);
  });

  it('outlives the process, more than a page of them', async () => {
    const { clock, records, revocations } = await rig();
    for (let at = 0; at < 1_001; at += 1) await revocations.add({ subject: `s${at}` });
    await revocations.add({ tokenId: 'one' });
    const after = await rig({ records, clock });
    expect(after.revocations.isRevoked(of('s0'))).toBe(true);
    expect(after.revocations.isRevoked(of('s1000', { issuedAtMs: clock.nowMs() }))).toBe(true);
    expect(after.revocations.isRevoked(of('s1000', { issuedAtMs: clock.nowMs() + 1_000 }))).toBe(false);
    expect(after.revocations.isRevoked(of('ann', { tokenId: 'one' }))).toBe(true);
  });

  it('that cannot be read keeps the server from starting', async () => {
    for (const text of [
      '',
      '{}',
      'null',
      '{"subject":"a"}',
      '{"subject":1,"revokedAtMs":1}',
      '{"subject":"a","tokenId":"b","revokedAtMs":1}',
    ]) {
      const records = new MemoryRecords();
      await records.write([{ table: 'auth-revocations', key: 'k', value: Buffer.from(text) }]);
      await expect(rig({ records })).rejects.toThrow('cannot be read');
    }
  });

  it('is never forgotten for another; one whose date has come makes room', async () => {
    const { clock, records, revocations } = await rig({ revocationsMax: 2 });
    await revocations.add({ subject: 'ann', untilMs: clock.nowMs() + 1_000 });
    await revocations.add({ tokenId: 'one' });
    await expect(revocations.add({ subject: 'bob' })).rejects.toMatchObject({ code: 'quota_exceeded' });
    await revocations.add({ tokenId: 'one' });
    expect(revocations.isRevoked(of('ann'))).toBe(true);
    clock.pass(1_000);
    await revocations.add({ subject: 'bob' });
    expect(revocations.isRevoked(of('bob'))).toBe(true);
    expect(revocations.isRevoked(of('ann'))).toBe(false);
    expect(await records.list('auth-revocations', '', undefined, 9)).toHaveLength(2);
    await expect(revocations.add({ subject: 'cid' })).rejects.toMatchObject({ code: 'quota_exceeded' });
  });
});
