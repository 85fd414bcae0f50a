import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Program {
  readonly child: ChildProcess;
  /** What it has written to standard output so far, line by line. */
  readonly lines: readonly string[];
  /** Resolves with the first line that `matches`, written before or after; rejects when the program ends without. */
  line(matches: (line: string) => boolean): Promise<string>;
  /** Standard output in whole, once it has ended by itself with 0; rejects with what it said when it has not. */
  readonly done: Promise<readonly string[]>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

const running = new Set<ChildProcess>();

/** Ends the programs that still run, as after a test that failed halfway. For `afterAll`. */
export function endPrograms(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Runs a program of another project, with `input` as its standard input. */
export function runProgram(file: string, args: readonly string[], input = ''): Program {
  const child = spawn(file, args, { stdio: 'pipe' });
  running.add(child);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let errors = '';
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line);
    for (const look of watchers) look();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  // A program that has ended reads no input.
  child.stdin.on('error', (error) => (errors += error.message));
  child.stdin.end(input);
  const ended = once(child, 'close').then(([code]) => {
    running.delete(child);
    return code as number | null;
  });
  const failure = (code: number | null): Error =>
    new Error(`${file} ended with ${code}; stdout: ${lines.join('\n')}; stderr: ${errors}`);
  const done = ended.then((code) => {
    if (code !== 0) throw failure(code);
    return lines;
  });
  // A test that awaits `done` sees the error; no test awaits a program that it kills on purpose.
  done.catch(() => undefined);
  return {
    child,
    lines,
    done,
    line: (matches) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find(matches);
          if (found === undefined) return;
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
        void ended.then((code) => reject(failure(code)));
      }),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
