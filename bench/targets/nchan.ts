import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild, stopChild } from '../child.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import type { Target } from './target.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';
import { channelName } from './channel-name.ts';
import { findFreePort, waitUntilAccepting } from './free-port.ts';

const nginxPath = ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find((path) => existsSync(path));
const modulePath = [
  '/usr/lib/nginx/modules/ngx_nchan_module.so',
  '/usr/share/nginx/modules/ngx_nchan_module.so',
].find((path) => existsSync(path));

/** nchan in one nginx worker, from Debian's libnginx-mod-nchan. Publishing is by POST over keep-alive connections. */
export const nchan: Target = {
  name: 'nchan',
  peer: 'nchan',
  wires: ['websocket', 'sse'],
  isPublishedTo: true,
  missing: () => {
    if (nginxPath === undefined) return 'nginx is not installed';
    return modulePath === undefined ? 'its nginx module is not installed (libnginx-mod-nchan)' : undefined;
  },
  start: async (publisher) => {
    const folder = makeTemporaryFolder();
    const port = await findFreePort();
    const configPath = join(folder, 'nginx.conf');
    writeFileSync(configPath, nginxConfig(folder, port));
    const child = startChild(nginxPath!, ['-p', folder, '-c', configPath, '-e', join(folder, 'error.log')], {
      core: 'server',
    });
    await waitUntilAccepting('nginx', port);
    const target: PublishTarget = { wire: 'http', port, path: '/publish' };
    return {
      pid: child.pid!,
      port,
      subscribePath: () => '/subscribe',
      startPublishing: async (ratePerSecond, payloadBytes) => {
        await publisher.call('startPublishing', {
          target,
          channel: channelName,
          channels: 1,
          ratePerSecond,
          payloadBytes,
          connections: 16,
          inFlightMax: 1,
        });
      },
      stopPublishing: () => publisher.call('stopPublishing', undefined),
      publishTargets: [target],
      stop: async () => {
        await stopChild(child);
        removeTemporaryFolder(folder);
      },
    };
  },
};

function nginxConfig(folder: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${join(folder, name)};`)
    .join('\n');
  // Workers of root would change to a user without permission to write here.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  return `${user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, 'nginx.pid')};
load_module ${modulePath};
events { worker_connections 19000; multi_accept on; }
http {
${temporary}
  access_log off;
  nchan_shared_memory_size 512M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    keepalive_requests 100000000;
    location = /publish {
      nchan_publisher;
      nchan_channel_id ${channelName};
      nchan_message_buffer_length 100;
      nchan_message_timeout 10s;
    }
    location = /subscribe {
      nchan_subscriber;
      nchan_channel_id ${channelName};
      nchan_subscriber_first_message newest;
    }
  }
}
`;
}
