import { expect, it } from 'vitest';
import { EverywireError } from '@everywire/protocol';
import { defaultLimits } from '../../src/config/limits.ts';
import { Caretaker } from '../../src/core/caretaker.ts';
import { createNamespaces, defaultRules } from '../../src/core/log/namespaces.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createMemoryStore } from '../../src/stores/memory/store.ts';
import { settle, TestClock } from './durable/rig.ts';

function care(): { caretaker: Caretaker; clock: TestClock; errors: string[]; fail: () => void } {
  const clock = new TestClock();
  const errors: string[] = [];
  const quiet = (): void => undefined;
  const store = createMemoryStore({ clock, random: createSystemRandom(), limits: defaultLimits });
  const { promise: held, reject } = Promise.withResolvers<never>();
  store.sweep = () => held;
  const caretaker = new Caretaker({
    store,
    clock,
    log: { debug: quiet, info: quiet, warn: quiet, error: (_fields, text) => errors.push(text) },
    namespaces: createNamespaces([], defaultRules, defaultLimits),
    sweeps: [],
  });
  const fail = (): void => reject(new EverywireError('store_unavailable', 'The store is not open.'));
  return { caretaker, clock, errors, fail };
}

it('logs a sweep that failed', async () => {
  const { caretaker, clock, errors, fail } = care();
  caretaker.start();
  await clock.pass(5_000);
  fail();
  await settle();
  expect(errors).toEqual(['the store could not trim by age']);
  caretaker.stop();
});

it('logs nothing of a sweep that the closing of the store ended', async () => {
  const { caretaker, clock, errors, fail } = care();
  caretaker.start();
  await clock.pass(5_000);
  caretaker.stop();
  fail();
  await settle();
  expect(errors).toEqual([]);
});
