import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));

/** An example that runs. */
export interface RunningExample {
  readonly child: ChildProcessWithoutNullStreams;
  /** Lines of standard output so far. */
  lines(): readonly string[];
  /** What it said on standard error so far. */
  talk(): string;
  /** Kills it, as a crash would. */
  kill(): Promise<void>;
  /** Its exit code, when it ends by itself. */
  readonly ended: Promise<number | null>;
}

export function runExample(command: string, file: string, args: readonly string[]): RunningExample {
  const child = spawn(command, [file, ...args], { cwd: folder });
  let output = '';
  let talk = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    talk += text;
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    ended,
    lines: () => output.split('\n').slice(0, -1),
    talk: () => talk,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
