import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { nowUs } from '../clock.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import { Histogram } from '../histogram.ts';
import { payloadBytesDefault } from '../payload.ts';
import { inMs, rounded, startRun, startUsage, type Row, type Run, type Scenario } from '../run.ts';
import { channelName } from '../targets/channel-name.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';

const warmUpMs = 2_000;

/** Publishers at once: over HTTP one on each of so many connections, on any other wire all of one connection. */
const inFlightCounts = [1, 100] as const;

export const publish: Scenario = {
  name: 'publish',
  title:
    'Publishing, acknowledged: 64-byte messages, no subscriber; each answer sends the next. First, the disk alone.',
  run: async function* (bench) {
    yield measureDisk();
    for (const target of [...bench.ours, ...bench.peers]) {
      if (target.isPublishedTo !== true) continue;
      await using run = await startRun(target);
      for (const publishTarget of run.server.publishTargets ?? []) {
        if (bench.wires.length > 0 && !bench.wires.includes(publishTarget.wire)) continue;
        for (const inFlight of inFlightCounts) {
          bench.progress(`${target.name}, publishing over ${publishTarget.wire}, ${inFlight} in flight`);
          yield { server: target.name, ...(await measure(run, publishTarget, inFlight, bench.durationMs)) };
        }
      }
    }
  },
};

async function measure(run: Run, target: PublishTarget, inFlight: number, durationMs: number): Promise<Row> {
  const connections = target.wire.startsWith('http') ? inFlight : 1;
  const usage = startUsage(run);
  const report = await run.publisher.call('flood', {
    target,
    channel: channelName,
    payloadBytes: payloadBytesDefault,
    connections,
    inFlightPerConnection: inFlight / connections,
    warmUpMs,
    durationMs,
  });
  const { serverUs, generatorUs } = usage();
  const ratePerSecond = (report.acknowledged * 1_000) / report.elapsedMs;
  const wholeMs = report.elapsedMs + warmUpMs;
  return {
    over: target.wire,
    'in flight': inFlight,
    'acknowledged/s': Math.round(ratePerSecond),
    refused: report.refused,
    'server CPU µs each': rounded((serverUs * 1_000) / wholeMs / ratePerSecond),
    'server core %': rounded(serverUs / wholeMs / 10),
    'generator core %': rounded(generatorUs / wholeMs / 10),
    'p50 ms': inMs(report.latency.p50Us),
    'p99 ms': inMs(report.latency.p99Us),
  };
}

/** What the disk under the embedded store takes for a write of one page and its fdatasync. */
function measureDisk(): Row {
  const folder = makeTemporaryFolder();
  const file = openSync(join(folder, 'page'), 'w');
  const page = Buffer.alloc(4_096, 1);
  const latency = new Histogram();
  const startedUs = nowUs();
  const syncs = 500;
  for (let i = 0; i < syncs; i++) {
    const fromUs = nowUs();
    writeSync(file, page);
    fdatasyncSync(file);
    latency.add(nowUs() - fromUs);
  }
  const elapsedUs = nowUs() - startedUs;
  closeSync(file);
  removeTemporaryFolder(folder);
  const { p50Us, p99Us } = latency.summary();
  return {
    server: '(the disk: write 4 KiB, fdatasync)',
    over: '-',
    'in flight': 1,
    'acknowledged/s': Math.round((syncs * 1_000_000) / elapsedUs),
    'p50 ms': inMs(p50Us),
    'p99 ms': inMs(p99Us),
  };
}
