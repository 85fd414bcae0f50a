import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild, stopChild } from '../child.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';
import { channelName } from './channel-name.ts';
import { findFreePort, waitUntilAccepting } from './free-port.ts';
import type { Target } from './target.ts';

// Not the wrapper in /usr/sbin, which changes to another user.
const programPath = globSync('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server')[0];
const pluginPath = globSync('/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_web_stomp-*')[0];
const destination = `/topic/${channelName}`;
const startsInMs = 60_000;

/** RabbitMQ with STOMP over WebSocket, from Debian's package: a separate node, with its own folder and epmd. */
export const rabbitmq: Target = {
  name: 'RabbitMQ web STOMP',
  peer: 'rabbitmq',
  wires: ['stomp'],
  isPublishedTo: true,
  missing: () => {
    if (programPath === undefined) return 'it is not installed (Debian: rabbitmq-server)';
    return pluginPath === undefined ? 'its plugin rabbitmq_web_stomp is not installed' : undefined;
  },
  start: async (publisher) => {
    const folder = makeTemporaryFolder();
    const [amqpPort, distributionPort, epmdPort, stompPort, webPort] = await Promise.all(
      Array.from({ length: 5 }, () => findFreePort()),
    );
    mkdirSync(join(folder, 'log'));
    writeFileSync(join(folder, 'plugins'), '[rabbitmq_stomp,rabbitmq_web_stomp].\n');
    writeFileSync(join(folder, 'rabbitmq.conf'), config(amqpPort!, stompPort!, webPort!));
    const environment = {
      HOME: folder,
      RABBITMQ_NODENAME: `bench-${process.pid}-${webPort}@localhost`,
      RABBITMQ_NODE_PORT: amqpPort,
      RABBITMQ_DIST_PORT: distributionPort,
      ERL_EPMD_PORT: epmdPort,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      // Without a shell around it, so that the child's pid is the broker's.
      RABBITMQ_ALLOW_INPUT: 'true',
    };
    const child = startChild(
      'env',
      [...Object.entries(environment).map(([name, value]) => `${name}=${value}`), programPath!, '-noinput'],
      { core: 'server', folder },
    );
    const stop = async (): Promise<void> => {
      await stopChild(child);
      // The broker starts this daemon by itself, and leaves it behind.
      spawnSync('epmd', ['-port', String(epmdPort), '-kill'], { stdio: 'ignore' });
      removeTemporaryFolder(folder);
    };
    try {
      await waitUntilAccepting('RabbitMQ', webPort!, startsInMs);
      await waitUntilAccepting('RabbitMQ', stompPort!, startsInMs);
    } catch (cause) {
      await stop();
      throw cause;
    }
    const target: PublishTarget = { wire: 'stomp', port: stompPort!, path: '/topic/{channel}' };
    return {
      pid: child.pid!,
      port: webPort!,
      subscribePath: () => `/ws#${destination}`,
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
      stopPublishing: () => publisher.call('stopPublishing', undefined),
      stop,
    };
  },
};

function config(amqpPort: number, stompPort: number, webPort: number): string {
  return `listeners.tcp.1 = 127.0.0.1:${amqpPort}
stomp.listeners.tcp.1 = 127.0.0.1:${stompPort}
web_stomp.tcp.listener = 127.0.0.1:${webPort}
log.file.level = error
`;
}
