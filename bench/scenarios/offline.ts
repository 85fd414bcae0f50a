import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupPlan } from '../generator/group.ts';
import { payloadBytesDefault } from '../payload.ts';
import { settledBytes } from '../process-usage.ts';
import {
  rounded,
  startRun,
  startUsage,
  subscribersOf,
  type Bench,
  type Row,
  type Run,
  type Scenario,
} from '../run.ts';
import { channelName } from '../targets/channel-name.ts';
import type { Target } from '../targets/target.ts';

const messages = 2_000;
const inFlight = 100;
// Of brokers that queue each message for each session: with all of ours they would need more memory than there is.
const peerSessions = 1_000;
const steadyMs = 2_000;
const settleTimeoutMs = 30_000;
const returnTimeoutMs = 600_000;

export const offline: Scenario = {
  name: 'offline',
  title: `Sessions that are away: durable MQTT sessions subscribed at QoS 1 to one topic, ${messages} messages while they are away, then all return at once. With 0 sessions: the cost of the messages alone.`,
  run: async function* (bench) {
    const ours = bench.isQuick ? 500 : 10_000;
    for (const target of bench.ours.slice(0, 1)) {
      for (const sessions of [0, ours]) yield* measure(bench, target, sessions);
    }
    for (const target of bench.peers.filter(({ wires }) => wires.includes('mqtt'))) {
      for (const sessions of [0, Math.min(ours, peerSessions)]) yield* measure(bench, target, sessions);
    }
  },
};

async function* measure(bench: Bench, target: Target, sessions: number): AsyncGenerator<Row> {
  bench.progress(`${target.name}: ${sessions} sessions away`);
  await using run = await startRun(target);
  const { server, subscribers } = run;
  const plan = subscribersOf(server, 'mqtt', sessions, { sampleEvery: messages });
  // The code that they need is compiled, and its memory taken, before anything is compared.
  await beginSessions(run, {
    ...plan,
    count: Math.max(sessions, 1),
    path: sessions === 0 ? 'other' : plan.path,
  });
  const away = await whileAway(run);
  if (sessions === 0) {
    yield { server: target.name, sessions, messages, ...away };
    return;
  }
  const startedMs = performance.now();
  const connecting = subscribers.call('connect', {
    group: 'returned',
    plan: { ...plan, session: 'return', resume: [{ path: plan.path, afterSeq: 0 }] },
  });
  const receiving = subscribers.call('reached', {
    group: 'returned',
    seq: messages,
    timeoutMs: returnTimeoutMs,
  });
  await Promise.all([connecting, receiving]);
  const elapsedMs = performance.now() - startedMs;
  const { arrived, violations } = await subscribers.call('report', 'returned');
  yield {
    server: target.name,
    sessions,
    messages,
    ...away,
    'received on return': arrived,
    missing: sessions * messages - arrived,
    violations,
    'all in s': rounded(elapsedMs / 1_000),
    'messages/s': Math.round((arrived * 1_000) / elapsedMs),
  };
}

async function beginSessions({ subscribers }: Run, plan: GroupPlan): Promise<void> {
  await subscribers.call('connect', { group: 'away', plan: { ...plan, session: 'begin' } });
  await subscribers.call('close', 'away');
}

/** Publishes all messages, and measures the time, memory and bytes that the server needs. */
async function whileAway(run: Run): Promise<Row> {
  const { server, publisher } = run;
  const bytesBefore = await settledBytes(server.pid, steadyMs, settleTimeoutMs);
  const fileBefore = storedBytes(server.storeFolder);
  const writtenBefore = writtenBytes(server.pid);
  const usage = startUsage(run);
  const target = server.publishTargets?.find(({ wire }) => wire === 'mqtt');
  if (target === undefined) throw new Error('there is nowhere to publish by MQTT');
  const { elapsedMs } = await publisher.call('publishCount', {
    target,
    channel: channelName,
    payloadBytes: payloadBytesDefault,
    messages,
    inFlight,
  });
  const { serverUs } = usage();
  const written = writtenBytes(server.pid) - writtenBefore;
  const bytesAfter = await settledBytes(server.pid, steadyMs, settleTimeoutMs);
  return {
    'published in ms': rounded(elapsedMs),
    'server CPU µs each': rounded(serverUs / messages),
    'MB before': rounded(bytesBefore / 1_048_576),
    'MB more': rounded((bytesAfter - bytesBefore) / 1_048_576),
    'bytes written each': Math.round(written / messages),
    'file KB more': rounded((storedBytes(server.storeFolder) - fileBefore) / 1_024),
  };
}

/** What the process had the storage layer write (proc(5), io); sockets do not count. */
function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
}

/** Size of the files in a store's folder. */
function storedBytes(folder: string | undefined): number {
  if (folder === undefined) return 0;
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
