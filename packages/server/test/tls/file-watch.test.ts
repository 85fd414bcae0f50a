import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { FileWatch } from '../../src/tls/file-watch.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-watch-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A clock whose one timer the test fires. */
function byHand(): { readonly clock: typeof systemClock; readonly look: () => Promise<void> } {
  let due: (() => void) | undefined;
  let armed: () => void = () => undefined;
  return {
    clock: {
      ...systemClock,
      after: (_delayMs, run) => {
        due = run;
        armed();
        return { cancel: () => (due = undefined) };
      },
    },
    look: async () => {
      const again = new Promise<void>((resolve) => (armed = resolve));
      const run = due!;
      due = undefined;
      run();
      await again;
    },
  };
}

test('tells of a change once, when it has stood still from one look to the next', async () => {
  const paths = [join(folder, 'cert'), join(folder, 'key')];
  for (const path of paths) writeFileSync(path, 'old');
  const { clock, look } = byHand();
  let changes = 0;
  const watch = new FileWatch({
    paths,
    clock,
    everyMs: 1,
    onChange: async () => {
      changes += 1;
    },
  });
  await watch.start();
  await look();
  await look();
  expect(changes).toBe(0);
  writeFileSync(paths[0]!, 'newer');
  await look();
  expect(changes).toBe(0);
  // The other file a moment later: it is waited for.
  writeFileSync(paths[1]!, 'newest');
  await look();
  expect(changes).toBe(0);
  await look();
  expect(changes).toBe(1);
  await look();
  expect(changes).toBe(1);
  rmSync(paths[1]!);
  await look();
  await look();
  expect(changes).toBe(2);
  writeFileSync(paths[1]!, 'back');
  await watch.refresh();
  await look();
  await look();
  expect(changes).toBe(2);
  watch.stop();
});
