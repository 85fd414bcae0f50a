import { expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { ThrottledLog } from '../../src/core/throttled-log.ts';

test('says each text at most once in ten seconds, and then how often it was kept to itself', () => {
  let nowMs = 0;
  const said: unknown[] = [];
  const quiet = (): void => undefined;
  const log = {
    debug: quiet,
    warn: quiet,
    error: quiet,
    info: (fields: object, text: string) => said.push([text, fields]),
  };
  const throttledLog = new ThrottledLog({ ...systemClock, monotonicMs: () => nowMs }, log);
  for (let at = 0; at < 5; at += 1) throttledLog.info({ at }, 'a');
  throttledLog.info({}, 'b');
  nowMs = 10_000;
  throttledLog.info({ at: 9 }, 'a');
  expect(said).toEqual([
    ['a', { at: 0 }],
    ['b', {}],
    ['a', { at: 9, sinceLast: 4 }],
  ]);
});
