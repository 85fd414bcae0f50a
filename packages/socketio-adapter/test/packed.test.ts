import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../test/support/server.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const patience = { timeout: 20_000, interval: 50 };

/** A small application, in JavaScript that is TypeScript too. */
const application = `
import { createServer } from 'node:http';
import { createAdapter } from '@everywire/socketio-adapter';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { adapter: createAdapter({ url: String(process.argv[2]) }), connectionStateRecovery: {} });
io.on('connection', (socket) => {
  socket.join('lobby');
  socket.on('say', (text) => io.to('lobby').emit('said', text));
});
http.listen(0, '127.0.0.1', () => console.log(JSON.stringify(http.address())));
`;

/** Folders of a package of this repository and of all its dependencies. */
function withDependencies(
  name: string,
  from: string,
  found = new Map<string, string>(),
): Map<string, string> {
  let folder = from;
  while (!existsSync(join(folder, 'node_modules', name, 'package.json'))) {
    if (folder === dirname(folder)) throw new Error(`${name} is not installed`);
    folder = dirname(folder);
  }
  const own = join(folder, 'node_modules', name);
  if (found.has(name)) return found;
  found.set(name, own);
  const { dependencies = {} } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  for (const dependency of Object.keys(dependencies)) withDependencies(dependency, own, found);
  return found;
}

/**
 * Packs a package as for publishing, in a copy: packing exchanges the manifest for a moment, and other tests run.
 * @returns the tarball's path.
 */
async function packOwn(workspace: string, name: string, destination: string): Promise<string> {
  const folder = join(workspace, 'packages', name);
  cpSync(join(root, 'packages', name), folder, {
    recursive: true,
    filter: (path) => !/[\\/](?:node_modules|dist|test)$/.test(path),
  });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', destination], { cwd: folder });
  return join(destination, tarballsIn(stdout)[0]!);
}

function tarballsIn(json: string): readonly string[] {
  return (JSON.parse(json.slice(json.search(/^[[{]/m))) as { filename: string }[]).map(
    ({ filename }) => filename,
  );
}

describe('the packed adapter', () => {
  let folder: string;
  let project: string;
  let server: TestServer;
  let app: ChildProcess | undefined;
  let client: Socket | undefined;

  beforeAll(async () => {
    server = await startTestServer({ store: 'memory:' });
    folder = mkdtempSync(join(tmpdir(), 'everywire-packed-'));
    const workspace = join(folder, 'workspace');
    const tarballs = join(folder, 'tarballs');
    project = join(folder, 'project');
    for (const path of [workspace, tarballs, project]) mkdirSync(path);
    cpSync(join(root, 'scripts'), join(workspace, 'scripts'), { recursive: true });
    for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json'])
      cpSync(join(root, name), join(workspace, name));
    symlinkSync(join(root, 'node_modules'), join(workspace, 'node_modules'));
    const own = [
      await packOwn(workspace, 'protocol', tarballs),
      await packOwn(workspace, 'socketio-adapter', tarballs),
    ];
    // socket.io and everything it needs, from this repository: no registry is asked.
    const folders = [...withDependencies('socket.io', root).values()];
    const { stdout } = await run(
      'npm',
      ['pack', '--json', '--ignore-scripts', '--pack-destination', tarballs, ...folders],
      { cwd: tarballs },
    );
    const others = tarballsIn(stdout).map((name) => join(tarballs, name));
    writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...own, ...others], {
      cwd: project,
    });
  }, 180_000);
  afterAll(async () => {
    client?.disconnect();
    app?.kill('SIGKILL');
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('brings no store, no HTTP server, no logger and nothing native', () => {
    const installed = readdirSync(join(project, 'node_modules'), { recursive: true, encoding: 'utf8' });
    expect(installed).toContain(join('@everywire', 'socketio-adapter', 'dist', 'index.js'));
    const unwanted =
      /(?:^|\/)(?:everywire|lmdb|msgpackr|msgpackr-extract|fastify|pino)$|\.node$|(?:^|\/)binding\.gyp$/;
    expect(installed.filter((path) => unwanted.test(path))).toEqual([]);
  });

  it('has types that a strict application can be checked against', async () => {
    writeFileSync(join(project, 'app.ts'), application);
    const flags = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--types', 'node'];
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...flags, 'app.ts'], {
      cwd: project,
    });
  });

  it('carries the broadcasts of an application', async () => {
    writeFileSync(join(project, 'app.js'), application);
    const started = spawn(process.execPath, ['app.js', server.url], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    app = started;
    const [address] = (await once(started.stdout.setEncoding('utf8'), 'data')) as [string];
    const { port } = JSON.parse(address) as { port: number };
    const heard: unknown[] = [];
    client = io(`http://127.0.0.1:${port}`, { transports: ['websocket'] });
    client.on('said', (text) => heard.push(text));
    client.emit('say', 'from the client');
    await expect.poll(() => heard, patience).toEqual(['from the client']);
    const channel = `${server.url}/channels/socket.io/_/lobby`;
    const page = (await (await fetch(`${channel}?since=earliest`)).json()) as {
      messages: { data: unknown }[];
    };
    expect(page.messages.map(({ data }) => data)).toEqual(['from the client']);
    await fetch(channel, { method: 'POST', headers: { 'Everywire-Event': 'said' }, body: 'from elsewhere' });
    await expect.poll(() => heard, patience).toEqual(['from the client', 'from elsewhere']);
  });
});
