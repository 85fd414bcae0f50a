import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../packages/server/src/cli/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. Its output is collected from the start. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves once what has been written to the stream satisfies `seen`; rejects if the command ends before. */
  until(stream: 'stdout' | 'stderr', seen: (text: string) => boolean): Promise<string>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Given to standard input, which is then closed. */
  readonly input?: string | Buffer;
}

/** What the tests were started with must not configure the servers they start. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const names = Object.keys(process.env).filter((name) => name !== 'PORT' && !name.startsWith('EVERYWIRE_'));
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** A server of a test must not take the ports that are the defaults. */
const mayListen = (command: string | undefined): boolean => command === 'serve' || command === 'doctor';
const anyPorts = { EVERYWIRE_MQTT_PORT: '0', EVERYWIRE_STOMP_PORT: '0', EVERYWIRE_GRPC_PORT: '0' };

const running = new Set<ChildProcessWithoutNullStreams>();

/** Ends the processes that still run, as after a test that failed halfway. For `afterAll`. */
export function endEverything(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Runs `everywire` in a separate process, with the same Node as the tests. */
export function runEverywire(args: readonly string[], { cwd, env, input }: RunOptions = {}): Running {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: cwd ?? tmpdir(),
    env: { ...cleanEnvironment(), ...(mayListen(args[0]) ? anyPorts : {}), NO_COLOR: '1', ...env },
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  const output = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
      for (const look of watchers) look();
    });
  }
  // A command that does not read its input may be gone before all of it is written.
  child.stdin.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  child.stdin.end(input);
  const ended = once(child, 'close').then(([code, signal]): Ended => ({ code, signal, ...output }));
  return {
    child,
    ended,
    until(stream, seen) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (!seen(output[stream])) return;
          watchers.delete(look);
          resolve(output[stream]);
        };
        watchers.add(look);
        look();
        void ended.then(({ code }) => {
          reject(new Error(`ended with ${code} before; stdout: ${output.stdout} stderr: ${output.stderr}`));
        });
      });
    },
  };
}

export interface ServedEverywire extends Running {
  /** Base URL, `http://127.0.0.1:…`. */
  readonly http: string;
  readonly port: number;
  /** `mqtt://127.0.0.1:…`, unless that listener is off. */
  readonly mqtt: string | undefined;
  readonly stomp: string | undefined;
  /** `127.0.0.1:…`, unless that listener is off. */
  readonly grpc: string | undefined;
  /** Arguments for another server on the same ports. */
  readonly ports: readonly string[];
  /** The same host and port with another scheme, or that of `mqtt:` and `stomp:`: `at('sse+http', 'chat/a')`. */
  at(scheme: string, channel: string): string;
  /** Kills it if it still runs, and removes its folder. */
  dispose(): Promise<void>;
}

/** Starts a server on a free port of loopback with the memory store, unless `args` say otherwise, and waits until it is ready. */
export async function serveEverywire(
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<ServedEverywire> {
  const folder = mkdtempSync(join(tmpdir(), 'everywire-serve-'));
  const readyFile = join(folder, 'ready.json');
  const defaults = ['--port', '0', '--store', 'memory:', '--log-level', 'warn', '--ready-file', readyFile];
  const served = runEverywire(['serve', ...defaults, ...args], { cwd: folder, ...options });
  // The table is printed after the file is written.
  await served.until('stdout', (text) => text.includes('curl -d hello'));
  const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as Readonly<Record<string, string>>;
  const http = ready['http']!;
  const { host, port } = new URL(http);
  return {
    ...served,
    http,
    port: Number(port),
    mqtt: ready['mqtt'],
    stomp: ready['stomp'],
    grpc: ready['grpc'],
    ports: [
      ...['--port', port],
      ...['mqtt', 'stomp', 'grpc'].flatMap((name) =>
        ready[name] === undefined ? [] : [`--${name}-port`, /\d+$/.exec(ready[name])![0]],
      ),
    ],
    at: (scheme, channel) =>
      scheme === 'grpc' || scheme === 'grpcs'
        ? `${scheme}://${ready['grpc']!}/${channel}`
        : `${ready[scheme] ?? `${scheme}://${host}`}/${channel}`,
    async dispose() {
      served.child.kill('SIGKILL');
      await served.ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
