import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, stopChild } from '../child.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';
import { channelName } from './channel-name.ts';
import type { RunningTarget, Target } from './target.ts';

const cliPath = fileURLToPath(new URL('../../packages/server/src/cli/main.ts', import.meta.url));
const readyTimeoutMs = 15_000;

export type StoreKind = 'lmdb' | 'memory';

/** Everywire as `everywire serve` runs it, with its defaults apart from port and store. */
export function everywire(store: StoreKind): Target {
  return {
    name: `everywire ${store}`,
    wires: ['websocket', 'sse', 'stream'],
    isPublishedTo: true,
    missing: () => undefined,
    start: async (publisher) => {
      const server = await startEverywire(store);
      const target: PublishTarget = { wire: 'everywire.v1', port: server.port, path: '/ws' };
      const byPost: PublishTarget = { wire: 'http', port: server.port, path: '/channels/{channel}' };
      return {
        ...server,
        subscribePath: (wire) => (wire === 'everywire.v1' ? '/ws' : `/channels/${channelName}`),
        startPublishing: async (ratePerSecond, payloadBytes) => {
          await publisher.call('startPublishing', {
            target,
            channel: channelName,
            channels: 1,
            ratePerSecond,
            payloadBytes,
            connections: 1,
            inFlightMax: 5_000,
          });
        },
        stopPublishing: async () => {
          const report = await publisher.call('stopPublishing', undefined);
          if (report.refused > 0) throw new Error(`${report.refused} publishes were refused`);
          return report;
        },
        publishTargets: [target, byPost],
      };
    },
  };
}

async function startEverywire(store: StoreKind): Promise<Pick<RunningTarget, 'pid' | 'port' | 'stop'>> {
  const folder = makeTemporaryFolder();
  const readyPath = join(folder, 'ready.json');
  const storeUrl = store === 'lmdb' ? `lmdb:${join(folder, 'data')}` : 'memory:';
  // Extra V8 flags, such as --cpu-prof, for whoever looks for where the time goes.
  const nodeFlags = (process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');
  const child = startChild(
    process.execPath,
    [
      ...nodeFlags,
      cliPath,
      'serve',
      '--port',
      '0',
      '--mqtt-port',
      '0',
      '--stomp-port',
      '0',
      '--ready-file',
      readyPath,
      '--store',
      storeUrl,
      '--log-level',
      'warn',
    ],
    // In an empty folder: an everywire.yaml would change what is measured.
    { core: 'server', folder },
  );
  const giveUpMs = performance.now() + readyTimeoutMs;
  while (!existsSync(readyPath) || readFileSync(readyPath).length === 0) {
    if (child.exitCode !== null)
      throw new Error(`everywire ended with ${child.exitCode} before it was ready`);
    if (performance.now() > giveUpMs) throw new Error(`everywire was not ready in ${readyTimeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { http } = JSON.parse(readFileSync(readyPath, 'utf8')) as { http: string };
  return {
    pid: child.pid!,
    port: Number(new URL(http).port),
    stop: async () => {
      await stopChild(child);
      removeTemporaryFolder(folder);
    },
  };
}
