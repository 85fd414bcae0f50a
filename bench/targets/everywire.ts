import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SignJWT } from 'jose';
import { startChild, stopChild } from '../child.ts';
import type { WireName } from '../generator/handshakes.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';
import { channelName } from './channel-name.ts';
import type { RunningTarget, Target } from './target.ts';

const cliPath = fileURLToPath(new URL('../../packages/server/src/cli/main.ts', import.meta.url));
const readyTimeoutMs = 15_000;

export type StoreKind = 'lmdb' | 'memory';

/** The default rates are for people; here one connection publishes at the rate of the scenario. */
const authentication = (secret: string): string =>
  `auth: { jwt: { secret: "${secret}" } }\nlimits: { publishesPerSecondMax: 0, subjectPublishesPerSecondMax: 0 }\n`;

/** Everywire as `everywire serve` runs it, with its defaults apart from port and store. */
export function everywire(store: StoreKind, { hasTokens = false } = {}): Target {
  return {
    name: `everywire ${store}${hasTokens ? ', with tokens' : ''}`,
    wires: ['websocket', 'sse', 'stream', 'mqtt', 'socketio', 'stomp', 'grpc'],
    isPublishedTo: true,
    missing: () => undefined,
    start: async (publisher) => {
      const secret = randomBytes(32).toString('hex');
      const server = await startEverywire(store, hasTokens ? authentication(secret) : undefined);
      const token = hasTokens ? await tokenFor(secret) : undefined;
      const target: PublishTarget = { wire: 'everywire.v1', port: server.port, path: '/ws', token };
      const byPost: PublishTarget = { wire: 'http', port: server.port, path: '/channels/{channel}' };
      const byMqtt: PublishTarget = { wire: 'mqtt', port: server.mqttPort, path: '', token };
      const byStomp: PublishTarget = { wire: 'stomp', port: server.stompPort, path: '/channels/{channel}' };
      return {
        ...server,
        token,
        portOf: (wire) =>
          wire === 'mqtt' ? server.mqttPort : wire === 'grpc' ? server.grpcPort : server.port,
        subscribePath,
        startPublishing: async (ratePerSecond, payloadBytes, wire) => {
          await publisher.call('startPublishing', {
            // The other brokers are published to over their own wire too, and have to send answers.
            target: wire === 'mqtt' ? { ...byMqtt, wire: 'mqtt-qos0' } : wire === 'stomp' ? byStomp : target,
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
        publishTargets: [
          target,
          byPost,
          { ...byPost, wire: 'http-batch', path: '/publish' },
          byMqtt,
          { ...byStomp, wire: 'stomp-receipt' },
          { wire: 'grpc', port: server.grpcPort, path: '/everywire.v1.Messaging/Publish' },
        ],
      };
    },
  };
}

/** For an hour, with a rule that grants and one that denies something else. */
function tokenFor(secret: string): Promise<string> {
  return new SignJWT({
    sub: 'bench',
    everywire: { subscribe: ['**', '!elsewhere/**'], publish: ['**'] },
  })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(Buffer.from(secret));
}

function subscribePath(wire: WireName): string {
  if (wire === 'socketio') return `/socket.io/#${channelName}`;
  if (wire === 'mqtt') return channelName;
  if (wire === 'grpc') return `/everywire.v1.Messaging/Subscribe#${channelName}`;
  if (wire === 'stomp') return `/stomp#/channels/${channelName}`;
  return wire === 'everywire.v1' ? '/ws' : `/channels/${channelName}`;
}

interface StartedEverywire extends Pick<RunningTarget, 'pid' | 'port' | 'storeFolder' | 'stop'> {
  readonly mqttPort: number;
  readonly stompPort: number;
  readonly grpcPort: number;
}

/** `config` is its everywire.yaml, for scenarios about what is off by default. */
export async function startEverywire(store: StoreKind, config?: string): Promise<StartedEverywire> {
  const folder = makeTemporaryFolder();
  if (config !== undefined) writeFileSync(join(folder, 'everywire.yaml'), config);
  const readyPath = join(folder, 'ready.json');
  const storeUrl = store === 'lmdb' ? `lmdb:${join(folder, 'data')}` : 'memory:';
  // The flag of `npm start`, and extra V8 flags, such as --cpu-prof to profile the server.
  const nodeFlags = `--max-semi-space-size=2 ${process.env['BENCH_NODE_FLAGS'] ?? ''}`
    .split(' ')
    .filter((flag) => flag !== '');
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
      '--grpc-port',
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
  const { http, mqtt, stomp, grpc } = JSON.parse(readFileSync(readyPath, 'utf8')) as Record<
    'http' | 'mqtt' | 'stomp' | 'grpc',
    string
  >;
  return {
    pid: child.pid!,
    port: Number(new URL(http).port),
    mqttPort: Number(new URL(mqtt).port),
    stompPort: Number(new URL(stomp).port),
    grpcPort: Number(grpc.split(':').at(-1)),
    ...(store === 'lmdb' ? { storeFolder: join(folder, 'data') } : {}),
    stop: async () => {
      await stopChild(child);
      removeTemporaryFolder(folder);
    },
  };
}
