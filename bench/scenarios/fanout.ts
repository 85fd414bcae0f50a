import type { WireName } from '../generator/handshakes.ts';
import { payloadBytesDefault } from '../payload.ts';
import {
  inMs,
  pause,
  rounded,
  startRun,
  startUsage,
  subscribersOf,
  type Bench,
  type Row,
  type Run,
  type Scenario,
  wiresOf,
} from '../run.ts';
import type { Target } from '../targets/target.ts';

const subscriberCount = 1_000;
const warmUpMs = 2_000;
// Timing every message costs the generator some 4 % of its core at a million a second.
const timedEverySecondMax = 100_000;

export const fanout: Scenario = {
  name: 'fanout',
  title: `Fan-out: one channel, ${subscriberCount} subscribers, 64-byte messages at a fixed rate.`,
  run: async function* (bench) {
    for (const target of [...bench.ours, ...bench.peers]) {
      const wires = wiresOf(bench, target);
      for (const wire of wires) yield* fanOutOver(bench, target, wire, [50, 200, 1_000]);
    }
  },
};

/** Measures `target` on one wire at each rate in turn, without a restart between. */
export async function* fanOutOver(
  bench: Bench,
  target: Target,
  wire: WireName,
  ratesPerSecond: readonly number[],
): AsyncGenerator<Row> {
  await using run = await startRun(target);
  for (const ratePerSecond of ratesPerSecond) {
    bench.progress(`${target.name}, ${wire}, ${ratePerSecond} messages/s`);
    yield { server: target.name, wire, ...(await measure(run, wire, ratePerSecond, bench.durationMs)) };
  }
}

async function measure(run: Run, wire: WireName, ratePerSecond: number, durationMs: number): Promise<Row> {
  const { server, subscribers } = run;
  const sampleEvery = Math.max(1, Math.round((ratePerSecond * subscriberCount) / timedEverySecondMax));
  const plan = subscribersOf(server, wire, subscriberCount, { sampleEvery });
  await subscribers.call('connect', { group: 'all', plan });
  await server.startPublishing(ratePerSecond, payloadBytesDefault, wire);
  await pause(warmUpMs);
  const usage = startUsage(run);
  await subscribers.call('mark', 'all');
  await pause(durationMs);
  const report = await subscribers.call('report', 'all');
  const { serverUs, generatorUs } = usage();
  await server.stopPublishing();
  await subscribers.call('close', 'all');
  const { arrived, elapsedMs, violations, latency } = report;
  return {
    'messages/s': ratePerSecond,
    'deliveries/s': Math.round((arrived * 1_000) / elapsedMs),
    'of due %': rounded((arrived * 100_000) / (elapsedMs * ratePerSecond * subscriberCount)),
    'server CPU µs each': arrived === 0 ? '-' : rounded(serverUs / arrived),
    'server core %': rounded(serverUs / elapsedMs / 10),
    'generator core %': rounded(generatorUs / elapsedMs / 10),
    'p50 ms': inMs(latency.p50Us),
    'p99 ms': inMs(latency.p99Us),
    violations,
    lost: report.connections - report.open,
  };
}
