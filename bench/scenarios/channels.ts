import { prefill } from '../generator/prefill.ts';
import { payloadBytesDefault } from '../payload.ts';
import { settledBytes } from '../process-usage.ts';
import {
  inMs,
  pause,
  rounded,
  startRun,
  startUsage,
  subscribersOf,
  type Bench,
  type Row,
  type Scenario,
} from '../run.ts';
import type { Target } from '../targets/target.ts';

// What one connection may subscribe to by default.
const perConnection = 256;
const ratePerSecond = 4_000;
const warmUpMs = 2_000;
const steadyMs = 3_000;
const settleTimeoutMs = 30_000;
const prefix = 'many/';

export const channels: Scenario = {
  name: 'channels',
  title: `Many channels with one subscriber each, ${perConnection} to an everywire.v1 connection, ${ratePerSecond} messages/s over all. One channel shows what publishing itself costs.`,
  run: async function* (bench) {
    for (const target of bench.ours) {
      for (const total of bench.isQuick ? [1, 10_000] : [1, 10_000, 100_000]) {
        bench.progress(`${target.name}, ${total} channels`);
        yield { server: target.name, ...(await measure(bench, target, total)) };
      }
    }
  },
};

async function measure(bench: Bench, target: Target, total: number): Promise<Row> {
  await using run = await startRun(target);
  const { server, subscribers, publisher } = run;
  const settle = (): Promise<number> => settledBytes(server.pid, steadyMs, settleTimeoutMs);
  const emptyBytes = await settle();
  await prefill(server.port, (seq) => `${prefix}${seq - 1}`, 1, total);
  const storedBytes = await settle();
  const plan = subscribersOf(server, 'everywire.v1', Math.ceil(total / perConnection), {
    ordered: false,
    channels: { prefix, total, perConnection },
  });
  const { elapsedMs: subscribeMs } = await subscribers.call('connect', { group: 'all', plan });
  const fullBytes = await settle();
  const idleUsage = startUsage(run);
  await pause(bench.durationMs);
  const idleUs = idleUsage().serverUs;
  await publisher.call('startPublishing', {
    target: server.publishTargets![0]!,
    channel: total === 1 ? `${prefix}0` : prefix,
    channels: total,
    ratePerSecond,
    payloadBytes: payloadBytesDefault,
    connections: 1,
    inFlightMax: 5_000,
  });
  await pause(warmUpMs);
  const usage = startUsage(run);
  await subscribers.call('mark', 'all');
  await pause(bench.durationMs);
  const { arrived, elapsedMs, latency } = await subscribers.call('report', 'all');
  const { serverUs } = usage();
  const { refused } = await publisher.call('stopPublishing', undefined);
  return {
    channels: total,
    'subscribes/s': Math.round((total * 1_000) / subscribeMs),
    ...(total === 1
      ? {}
      : {
          'bytes per stored channel': rounded((storedBytes - emptyBytes) / total),
          'bytes per subscription': rounded((fullBytes - storedBytes) / total),
        }),
    'idle core %': rounded(idleUs / bench.durationMs / 10),
    'deliveries/s': Math.round((arrived * 1_000) / elapsedMs),
    refused,
    'server CPU µs each, publish included': arrived === 0 ? '-' : rounded(serverUs / arrived),
    'server core %': rounded(serverUs / elapsedMs / 10),
    'p50 ms': inMs(latency.p50Us),
    'p99 ms': inMs(latency.p99Us),
  };
}
