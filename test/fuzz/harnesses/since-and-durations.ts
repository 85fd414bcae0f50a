import assert from 'node:assert/strict';
import { parseDurationMs, parseFrom, parseRetryAfterMs, retryAfterMsMax } from '@everywire/protocol';
import { parseTimeoutMs } from '@everywire/wires/grpc';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

const nowMs = 1_800_000_000_000;

export const harness: Harness = {
  name: 'since-and-durations',
  inputBytesMax: 80,
  seeds: [
    'earliest',
    'latest',
    'last-10',
    '-5m',
    '-1.5h',
    '2026-01-31T09:00:00Z',
    '2026-01-31T09:00:00.123456789+09:00',
    '0000-00-00T00:00:00Z',
    '30s',
    '500ms',
    '999999999999d',
    '7d',
    '120',
    '8H',
    '99999999n',
    'Fri, 31 Dec 1999 23:59:59 GMT',
    '-1',
  ],
  run: (input) => {
    const text = input.toString('latin1');
    const durationMs = parseDurationMs(text);
    if (durationMs !== undefined) assert.ok(Number.isSafeInteger(durationMs) && durationMs >= 0);
    const timeoutMs = parseTimeoutMs(text);
    if (timeoutMs !== undefined) assert.ok(Number.isFinite(timeoutMs) && timeoutMs >= 0);
    const retryMs = parseRetryAfterMs(text, nowMs);
    if (retryMs !== undefined) assert.ok(retryMs >= 0 && retryMs <= retryAfterMsMax);
    const from = takenOrRefused(() => parseFrom({ since: text }, nowMs));
    const since = from !== undefined && 'since' in from ? from.since : undefined;
    if (since?.kind === 'time') {
      assert.ok(Number.isSafeInteger(since.timeMs), `${since.timeMs} is no whole number of milliseconds`);
    }
    if (since?.kind === 'last') assert.ok(Number.isSafeInteger(since.count));
    return durationMs !== undefined || timeoutMs !== undefined || since !== undefined;
  },
};
