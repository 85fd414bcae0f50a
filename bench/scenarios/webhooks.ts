import { Caller } from '../calls.ts';
import { startProgram, stopChild } from '../child.ts';
import { nowUs } from '../clock.ts';
import type { ReceiverCalls } from '../peers/webhook-receivers.ts';
import { cpuUs } from '../process-usage.ts';
import { inMs, pause, rounded, type Row, type Scenario } from '../run.ts';
import { startEverywire, type StoreKind } from '../targets/everywire.ts';

/** A server keeps four connections to one host: with fewer ports than this, those would be measured. */
const portsMax = 100;
const perRequest = 1_000;
const giveUpMs = 120_000;

export const webhooks: Scenario = {
  name: 'webhooks',
  title: 'Webhooks: 1,000 endpoints that answer at once and one that never does; as fast as they are taken.',
  run: async function* (bench) {
    const endpoints = bench.isQuick ? 100 : 1_000;
    const messages = bench.isQuick ? 2_000 : 20_000;
    for (const { name } of bench.ours) {
      bench.progress(`${name}, ${endpoints} webhooks, ${messages} messages`);
      yield { server: name, ...(await measure(name.split(' ')[1] as StoreKind, endpoints, messages)) };
    }
  },
};

async function measure(store: StoreKind, endpoints: number, messages: number): Promise<Row> {
  const receivers = startProgram('./peers/webhook-receivers.ts', 'generator');
  const caller = new Caller<ReceiverCalls>(receivers);
  const server = await startEverywire(
    store,
    `webhooks: {allowTargets: ["127.0.0.1"]}\nlimits: {webhooksMax: ${endpoints + 1}}\n`,
  );
  try {
    const { ports, deadPort } = await caller.call('open', { ports: Math.min(portsMax, endpoints) });
    const post = async (path: string, body: unknown): Promise<void> => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      await response.arrayBuffer();
    };
    await post('/webhooks', { url: `http://127.0.0.1:${deadPort}/`, filter: 'bench/**' });
    for (let at = 0; at < endpoints; at += 1)
      await post('/webhooks', {
        url: `http://127.0.0.1:${ports[at % ports.length]!}/${at}`,
        filter: `bench/${at}`,
      });
    const fromUs = nowUs();
    const cpuFromUs = cpuUs(server.pid);
    for (let from = 0; from < messages; from += perRequest) {
      const atUs = nowUs();
      const entries = Array.from({ length: perRequest }, (_, at) => ({
        channel: `bench/${(from + at) % endpoints}`,
        data: { atUs },
      }));
      await post('/publish', entries);
    }
    let taken = await caller.call('taken', undefined);
    while (taken.count < messages && nowUs() - fromUs < giveUpMs * 1_000) {
      await pause(20);
      taken = await caller.call('taken', undefined);
    }
    const elapsedUs = nowUs() - fromUs;
    const usedUs = cpuUs(server.pid) - cpuFromUs;
    return {
      endpoints,
      taken: taken.count,
      missing: messages - taken.count,
      'deliveries/s': Math.round((taken.count * 1_000_000) / elapsedUs),
      'server CPU µs each': rounded(usedUs / taken.count),
      'server core %': rounded((usedUs / elapsedUs) * 100),
      'p50 ms': inMs(taken.p50Us),
      'p99 ms': inMs(taken.p99Us),
    };
  } finally {
    await stopChild(receivers);
    await server.stop();
  }
}
