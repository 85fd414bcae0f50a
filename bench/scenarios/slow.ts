import type { WireName } from '../generator/handshakes.ts';
import { settledBytes } from '../process-usage.ts';
import {
  inMs,
  pause,
  rounded,
  startRun,
  subscribersOf,
  type Bench,
  type Row,
  type Scenario,
  wiresOf,
} from '../run.ts';
import type { Target } from '../targets/target.ts';

const healthyCount = 100;
// So many that what the heap happens to hold at an instant, some 15 MB, is little for each.
const slowCount = 300;
const ratePerSecond = 500;
const payloadBytes = 2_048;
// 12 MB for each slow one, more than the kernel's buffers of a connection hold: until then the server still writes to them.
const messagesFilling = 6_000;
// Both together stay within the default retention of 10,000, so that no subscriber may receive a gap.
const messagesMeasured = 3_000;
const catchUpTimeoutMs = 120_000;
const steadyMs = 2_000;
const settleTimeoutMs = 20_000;

export const slow: Scenario = {
  name: 'slow',
  title: `Slow subscribers: ${slowCount} stop reading while ${healthyCount} continue; ${payloadBytes}-byte messages at ${ratePerSecond}/s.`,
  run: async function* (bench) {
    for (const target of [...bench.ours.slice(0, 1), ...bench.peers]) {
      for (const wire of wiresOf(bench, target)) {
        bench.progress(`${target.name}, slow subscribers over ${wire}`);
        yield { server: target.name, wire, ...(await measure(bench, target, wire)) };
      }
    }
  },
};

async function measure(bench: Bench, target: Target, wire: WireName): Promise<Row> {
  await using run = await startRun(target);
  const { server, subscribers } = run;
  const flow = async (messages: number): Promise<number> => {
    await subscribers.call('mark', 'healthy');
    await server.startPublishing(ratePerSecond, payloadBytes, wire);
    await pause(((bench.isQuick ? messages / 8 : messages) * 1_000) / ratePerSecond);
    const { latency } = await subscribers.call('report', 'healthy');
    await server.stopPublishing();
    return latency.p99Us;
  };
  const plan = subscribersOf(server, wire, healthyCount, { payloadBytes });
  await subscribers.call('connect', { group: 'healthy', plan });
  // The first flow warms the server up and shows its memory; the second is what the third is compared with.
  await flow(messagesMeasured);
  const p99AloneUs = await flow(messagesMeasured);
  const slowPlan = subscribersOf(server, wire, slowCount, { payloadBytes });
  await subscribers.call('connect', { group: 'slow', plan: slowPlan });
  await subscribers.call('pause', 'slow');
  const bytesBefore = await settledBytes(server.pid, steadyMs, settleTimeoutMs);
  await flow(messagesFilling);
  const p99BesideUs = await flow(messagesMeasured);
  const bytesAfter = await settledBytes(server.pid, steadyMs, settleTimeoutMs);
  const { lastSeqMin: seqOfHealthy, violations } = await subscribers.call('report', 'healthy');
  await subscribers.call('resume', 'slow');
  const startedMs = performance.now();
  const { isComplete } = await subscribers.call('reached', {
    group: 'slow',
    seq: seqOfHealthy,
    timeoutMs: isOurs(target) ? catchUpTimeoutMs : 20_000,
  });
  const catchUpMs = performance.now() - startedMs;
  const report = await subscribers.call('report', 'slow');
  return {
    'KB per slow one': rounded((bytesAfter - bytesBefore) / slowCount / 1_024),
    'MB before': rounded(bytesBefore / 1_048_576),
    'MB after': rounded(bytesAfter / 1_048_576),
    'p99 ms alone': inMs(p99AloneUs),
    'p99 ms beside slow': inMs(p99BesideUs),
    'slow ones still there': report.open,
    'all caught up': isComplete ? 'yes' : 'no',
    'violations slow': report.violations,
    'violations healthy': violations,
    'caught up in s': rounded(catchUpMs / 1_000),
  };
}

function isOurs(target: Target): boolean {
  return target.peer === undefined;
}
