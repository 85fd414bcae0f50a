import type { PollPlan } from '../generator/polling.ts';
import { payloadBytesDefault } from '../payload.ts';
import { inMs, pause, rounded, startRun, startUsage, type Row, type Run, type Scenario } from '../run.ts';
import { channelName } from '../targets/channel-name.ts';

const warmUpMs = 2_000;
const requestsAtOnce = 100;
const waitersCount = 500;
const messagesPerSecond = 10;
/** What a page holds when it is asked for. */
const pageMessages = 10;

type Asked = Pick<PollPlan, 'path' | 'placeFields' | 'fields' | 'isFollowing' | 'connections'>;

const path = `/channels/${channelName}`;
const ours: readonly (readonly [string, Asked])[] = [
  [
    `page of the newest ${pageMessages}`,
    { path: `${path}?limit=${pageMessages}`, isFollowing: false, connections: requestsAtOnce },
  ],
  [
    'page, nothing new (304)',
    { path: `${path}?after={cursor}`, placeFields: true, isFollowing: false, connections: requestsAtOnce },
  ],
  ['long poll', { path: `${path}?wait=30s&after={cursor}`, isFollowing: true, connections: waitersCount }],
];
const nchan: readonly (readonly [string, Asked])[] = [
  ['long poll', { path: '/subscribe', placeFields: true, isFollowing: true, connections: waitersCount }],
];

export const polls: Scenario = {
  name: 'polls',
  title: `Polling: ${requestsAtOnce} requests at once for a page; ${waitersCount} long polls at ${messagesPerSecond} messages/s.`,
  run: async function* (bench) {
    for (const target of [...bench.ours, ...bench.peers]) {
      if (target.peer !== undefined && target.peer !== 'nchan') continue;
      await using run = await startRun(target);
      for (const [what, asked] of target.peer === undefined ? ours : nchan) {
        bench.progress(`${target.name}, ${what}`);
        yield { server: target.name, what, ...(await measure(run, asked, bench.durationMs)) };
      }
    }
  },
};

async function measure(run: Run, asked: Asked, durationMs: number): Promise<Row> {
  const { server } = run;
  await server.startPublishing(asked.isFollowing ? messagesPerSecond : 100, payloadBytesDefault);
  if (!asked.isFollowing) {
    // So that there is a page to answer with; then nothing changes while it is asked for.
    await pause(warmUpMs);
    await server.stopPublishing();
  }
  const usage = startUsage(run);
  const report = await run.subscribers.call('poll', { ...asked, port: server.port, warmUpMs, durationMs });
  const { serverUs, generatorUs } = usage();
  if (asked.isFollowing) await server.stopPublishing();
  const wholeMs = report.elapsedMs + warmUpMs;
  const ratePerSecond = (report.answers * 1_000) / report.elapsedMs;
  return {
    'answers/s': Math.round(ratePerSecond),
    refused: report.refused,
    'server CPU µs each': rounded((serverUs * 1_000) / wholeMs / ratePerSecond),
    'server core %': rounded(serverUs / wholeMs / 10),
    'generator core %': rounded(generatorUs / wholeMs / 10),
    ...(asked.isFollowing ? { messages: report.messages, violations: report.violations } : {}),
    'p50 ms': inMs(report.latency.p50Us),
    'p99 ms': inMs(report.latency.p99Us),
  };
}
