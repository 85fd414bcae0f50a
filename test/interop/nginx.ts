import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Debian's; a machine without it skips the suites in front of which it is. */
export const hasNginx = spawnSync('nginx', ['-v']).error === undefined;

export interface Nginx extends AsyncDisposable {
  readonly port: number;
}

/** nginx in front of `upstream` (`http://…`). `location` are directives of its only location, beside `proxy_pass`. */
export async function startNginx(upstream: string, location = ''): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const config = `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events { worker_connections 256; }
    http { access_log off; ${temporary.join(' ')}
      upstream everywire { server ${new URL(upstream).host}; keepalive 8; }
      server { listen 127.0.0.1:${port}; keepalive_requests 10000;
        location / { proxy_pass http://everywire; proxy_http_version 1.1; proxy_set_header Host $http_host; ${location} } } }`;
  await writeFile(join(folder, 'nginx.conf'), config);
  const child = spawn('nginx', ['-p', folder, '-e', 'error.log', '-c', join(folder, 'nginx.conf')]);
  const closed = once(child, 'close');
  await untilListening(port, child);
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilListening(port: number, child: { readonly exitCode: number | null }): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
