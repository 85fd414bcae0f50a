import { describe, expect, it } from 'vitest';
import { adapterLimits } from '../src/options.ts';
import { PendingPublishes, PublishRefused } from '../src/pending-publishes.ts';

describe('publishes without an answer', () => {
  it('keep their order and their bytes, and are settled by number', async () => {
    const pending = new PendingPublishes();
    const added = ['a', 'b', 'c'].map((text) => pending.add((id) => `${id}${text}`));
    expect(pending.frames).toEqual(['1a', '2b', '3c']);
    pending.settle(2, new PublishRefused('no'));
    pending.settle(1);
    pending.settle(7);
    expect(pending.frames).toEqual(['3c']);
    expect([pending.frameOf(1), pending.frameOf(3)]).toEqual([undefined, '3c']);
    await added[0]!.stored;
    await expect(added[1]!.stored).rejects.toThrow('no');
    const empty = pending.whenEmpty();
    pending.refuseAll(new PublishRefused('closed'));
    await empty;
    await expect(added[2]!.stored).rejects.toThrow('closed');
  });

  it('are bounded in bytes, and a refused one takes no number', () => {
    const pending = new PendingPublishes();
    const half = 'x'.repeat(adapterLimits.pendingBytesMax / 2);
    pending.add(() => half);
    pending.add(() => half).stored.catch(() => undefined);
    expect(() => pending.add(() => 'x')).toThrow(PublishRefused);
    pending.settle(2, new Error('gone'));
    let next = 0;
    pending.add((id) => String((next = id)));
    expect(next).toBe(3);
  });

  it('lose the largest when the server ended the connection for its size', async () => {
    const pending = new PendingPublishes();
    pending.refuseLargest();
    const [small, large] = ['a', 'aaa', 'aa'].map((text) => pending.add(() => text));
    pending.refuseLargest();
    expect(pending.frames).toEqual(['a', 'aa']);
    await expect(large!.stored).rejects.toThrow('too_large');
    pending.settle(1);
    await small!.stored;
  });
});
