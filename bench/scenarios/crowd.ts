import { payloadBytesDefault } from '../payload.ts';
import { residentBytes } from '../process-usage.ts';
import { inMs, rounded, startRun, subscribersOf, type Scenario } from '../run.ts';

const wires = ['sse', 'websocket'] as const;
const ratePerSecond = 5;
const receiveTimeoutMs = 60_000;

export const crowd: Scenario = {
  name: 'crowd',
  title: 'A crowd: SSE and WebSocket subscribers of one channel at once; does everyone get every message?',
  run: async function* (bench) {
    const count = bench.isQuick ? 500 : 8_000;
    for (const target of bench.ours.slice(0, 1)) {
      await using run = await startRun(target);
      const { server, subscribers, publisher } = run;
      const connectMs = new Map<string, number>();
      for (const wire of wires) {
        bench.progress(`${target.name}: connecting ${count} ${wire}`);
        // Everyone is there before the first message, which therefore is the first for each.
        const plan = subscribersOf(server, wire, count, {
          resume: [{ path: server.subscribePath(wire), afterSeq: 0 }],
        });
        const { elapsedMs } = await subscribers.call('connect', { group: wire, plan });
        connectMs.set(wire, elapsedMs);
      }
      await server.startPublishing(ratePerSecond, payloadBytesDefault);
      await new Promise((resolve) => setTimeout(resolve, bench.durationMs));
      await server.stopPublishing();
      const { lastSeq } = await publisher.call('stopPublishing', undefined);
      for (const wire of wires) {
        await subscribers.call('reached', { group: wire, seq: lastSeq, timeoutMs: receiveTimeoutMs });
        const report = await subscribers.call('report', wire);
        yield {
          server: target.name,
          wire,
          connections: report.open,
          lost: count - report.open,
          published: lastSeq,
          'received by all': report.lastSeqMin,
          violations: report.violations,
          missing: count * lastSeq - report.arrived,
          'p50 ms': inMs(report.latency.p50Us),
          'p99 ms': inMs(report.latency.p99Us),
          'connects/s': Math.round((count * 1_000) / connectMs.get(wire)!),
          'server MB': rounded(residentBytes(server.pid) / 1_048_576),
        };
      }
    }
  },
};
