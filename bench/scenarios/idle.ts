import { settledBytes } from '../process-usage.ts';
import {
  pause,
  rounded,
  startRun,
  startUsage,
  subscribersOf,
  type Bench,
  type Row,
  type Scenario,
  wiresOf,
} from '../run.ts';
import type { WireName } from '../generator/handshakes.ts';
import type { Target } from '../targets/target.ts';

// The first connections also pay for code that is compiled and buffers that are kept.
const warmUpConnections = 200;
const steadyMs = 3_000;
const settleTimeoutMs = 45_000;

export const idle: Scenario = {
  name: 'idle',
  title: 'Idle connections: resident memory of the server for each, once it has settled.',
  run: async function* (bench) {
    for (const target of [...bench.ours.slice(0, 1), ...bench.peers]) {
      for (const wire of wiresOf(bench, target)) {
        bench.progress(`${target.name}, idle ${wire}`);
        yield { server: target.name, wire, ...(await measure(bench, target, wire)) };
      }
    }
  },
};

async function measure(bench: Bench, target: Target, wire: WireName): Promise<Row> {
  await using run = await startRun(target);
  const { server, subscribers } = run;
  const settle = (): Promise<number> => settledBytes(server.pid, steadyMs, settleTimeoutMs);
  await subscribers.call('connect', {
    group: 'warm-up',
    plan: subscribersOf(server, wire, warmUpConnections),
  });
  await subscribers.call('close', 'warm-up');
  const emptyBytes = await settle();
  const count = bench.isQuick ? 1_000 : 9_000;
  const { elapsedMs } = await subscribers.call('connect', {
    group: 'idle',
    plan: subscribersOf(server, wire, count),
  });
  const fullBytes = await settle();
  const usage = startUsage(run);
  await pause(bench.durationMs);
  const { serverUs } = usage();
  const { open } = await subscribers.call('report', 'idle');
  return {
    connections: open,
    lost: count - open,
    'KB each': rounded((fullBytes - emptyBytes) / count / 1_024),
    'MB without': rounded(emptyBytes / 1_048_576),
    'MB with': rounded(fullBytes / 1_048_576),
    'connects/s': Math.round((count * 1_000) / elapsedMs),
    'server core % idle': rounded(serverUs / bench.durationMs / 10),
  };
}
