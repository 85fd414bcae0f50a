import type { ResumePlan } from '../generator/group.ts';
import type { WireName } from '../generator/handshakes.ts';
import { prefill } from '../generator/prefill.ts';
import { residentBytes } from '../process-usage.ts';
import { rounded, startRun, startUsage, subscribersOf, type Row, type Scenario, wiresOf } from '../run.ts';
import { channelName } from '../targets/channel-name.ts';
import type { Target } from '../targets/target.ts';

const behindMessages = 1_000;
const stormTimeoutMs = 180_000;

export const storm: Scenario = {
  name: 'storm',
  title:
    'Recovery storm: everyone reconnects at once by cursor, 1,000 messages behind (spread: 1,000 places, 1,000 to 1,999 behind).',
  run: async function* (bench) {
    const count = bench.isQuick ? 500 : 10_000;
    for (const target of bench.ours.slice(0, 1)) {
      for (const wire of wiresOf(bench, target)) {
        for (const isSpread of [false, true]) {
          bench.progress(`${target.name}: storm of ${count} over ${wire}${isSpread ? ', spread' : ''}`);
          yield await measure(target, wire, count, isSpread);
        }
      }
    }
  },
};

async function measure(target: Target, wire: WireName, count: number, isSpread: boolean): Promise<Row> {
  await using run = await startRun(target);
  const { server, subscribers } = run;
  const lastSeq = isSpread ? 2 * behindMessages : behindMessages + 1;
  const cursors = await prefill(server.port, () => channelName, 1, lastSeq);
  const resume: readonly ResumePlan[] = cursors
    .slice(0, lastSeq - behindMessages)
    .map((cursor, i) => ({ path: pathAfter(server.subscribePath(wire), wire, cursor), afterSeq: i + 1 }));
  const plan = subscribersOf(server, wire, count, { resume, sampleEvery: lastSeq });
  const usage = startUsage(run);
  const startedMs = performance.now();
  const connecting = subscribers.call('connect', { group: 'storm', plan });
  const receiving = subscribers.call('reached', { group: 'storm', seq: lastSeq, timeoutMs: stormTimeoutMs });
  const [{ elapsedMs: connectMs }] = await Promise.all([connecting, receiving]);
  const elapsedMs = performance.now() - startedMs;
  const { serverUs, generatorUs } = usage();
  const report = await subscribers.call('report', 'storm');
  const due = Array.from({ length: count }, (_, i) => lastSeq - resume[i % resume.length]!.afterSeq).reduce(
    (sum, messages) => sum + messages,
  );
  return {
    server: target.name,
    wire,
    places: resume.length,
    connections: report.open,
    received: report.arrived,
    missing: due - report.arrived,
    violations: report.violations,
    'connected in s': rounded(connectMs / 1_000),
    'all in s': rounded(elapsedMs / 1_000),
    'messages/s': Math.round((report.arrived * 1_000) / elapsedMs),
    'server CPU µs each': rounded(serverUs / report.arrived),
    'server core %': rounded(serverUs / elapsedMs / 10),
    'generator core %': rounded(generatorUs / elapsedMs / 10),
    'server MB': rounded(residentBytes(server.pid) / 1_048_576),
  };
}

function pathAfter(path: string, wire: WireName, cursor: string): string {
  return wire === 'mqtt' ? `$since/${cursor}/${path}` : `${path}?after=${cursor}`;
}
