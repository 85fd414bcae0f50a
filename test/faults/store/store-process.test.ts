import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startedBy, whereaboutsOf } from '../../support/whereabouts.ts';
import { whyNoStrace } from './failed-flush.ts';
import { ProcessGone, StoreProcess } from './store-process.ts';

const noStrace = whyNoStrace();
const strace = 'strace -f --seccomp-bpf -o /dev/null -e trace=fdatasync'.split(' ');

describe('the rig of a store in a separate process', () => {
  it('refuses a call to a process that has gone, instead of waiting for its answer', async () => {
    const store = new StoreProcess();
    await store.kill();
    await expect(store.call('health', null)).rejects.toThrow(ProcessGone);
  });

  it('ends a process whose store was closed', async () => {
    const store = new StoreProcess();
    await store.call('open', { url: 'memory:' });
    expect(await store.close()).toEqual({ code: 0, signal: null });
  });

  it.skipIf(noStrace !== undefined).each([0, 30, 100])(
    `kills what it started under strace %i ms ago, and leaves nothing behind ${noStrace ?? ''}`,
    async (agoMs) => {
      const before = startedBy(process.pid);
      const store = new StoreProcess({ under: strace });
      // Not a wait for anything: each time another part of starting is interrupted.
      await sleep(agoMs);
      const tree = startedBy(process.pid).filter((pid) => !before.includes(pid));
      const all = tree.flatMap((pid) => [pid, ...startedBy(pid)]);
      await store.kill();
      // Dead, perhaps as a zombie that its new parent has not reaped yet.
      for (const pid of all) await expect.poll(() => whereaboutsOf(pid)).toMatch(/^$|: Z /);
    },
  );
});
