import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The core that a process runs on: servers use the first, load generators the second. */
export type Core = 'server' | 'generator';

const hasTaskset = spawnSync('taskset', ['--version']).status === 0;
const coreNumbers = { server: '0', generator: '1' } as const;
/** Whether servers and generators can be kept apart. Without it the figures of a run say little. */
export const isPinned = hasTaskset && availableParallelism() >= 2;

const stopTimeoutMs = 5_000;
const children = new Set<ChildProcess>();

// The children must not outlive the bench, also if it fails.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export interface ChildOptions {
  readonly core: Core;
  /** Opens Node's IPC channel. */
  readonly ipc?: boolean;
  /** Where it runs: its current folder. */
  readonly folder?: string;
}

/** Starts a program held on a core. Its stderr goes to the bench's; stdout belongs to the results. */
export function startChild(command: string, args: readonly string[], options: ChildOptions): ChildProcess {
  const pinned = isPinned
    ? ['taskset', '-c', coreNumbers[options.core], command, ...args]
    : [command, ...args];
  const child = spawn(pinned[0]!, pinned.slice(1), {
    stdio: options.ipc === true ? ['ignore', 2, 2, 'ipc'] : ['ignore', 'ignore', 2],
    cwd: options.folder,
    env: plainEnvironment(),
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Without what would configure our server: a bench measures the defaults. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EVERYWIRE_')));
}

/** Starts a file of the bench with this Node; `file` is relative to bench/. */
export function startProgram(file: string, core: Core, args: readonly string[] = []): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return startChild(process.execPath, [path, ...args], { core, ipc: true });
}

/** Asks the process to end with SIGTERM, and ends it when it does not. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await ended;
  clearTimeout(timer);
}
