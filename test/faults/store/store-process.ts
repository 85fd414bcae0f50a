import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startedBy, whereaboutsOf } from '../../support/whereabouts.ts';
import type { HistoryEvent } from '../checker/history.ts';
import type { Calls, OutLine, ProgramOptions } from './calls.ts';
import { within } from './within.ts';

const programPath = join(import.meta.dirname, 'program/store-program.ts');
/** Longer than any call may take: a store that hangs fails the test by name and not by its time-out. */
const callTimeoutMs = 20_000;
/** How long a process may take to end that has closed its store, or was killed. */
const endsWithinMs = 10_000;

export interface StartOptions extends ProgramOptions {
  /** A command in front, such as strace with its arguments. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A call that got no answer, because the process is gone. */
export class ProcessGone extends Error {
  readonly exit: Exit;

  constructor(exit: Exit, stderr: string) {
    super(`the store's process ended with ${exit.signal ?? exit.code}: ${stderr.slice(-2_000)}`);
    this.exit = exit;
  }
}

/** A call that the process did not answer: it hangs. */
export class NoAnswer extends Error {}

/** It should be gone and is not. */
export class NotGone extends Error {}

/** What the store answered with an error. */
export class CallFailed extends Error {
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A store in a separate process; `Calls` lists its calls. */
export class StoreProcess {
  /** All events it recorded, in order. The reader of this list empties it. */
  readonly history: HistoryEvent[] = [];
  /** Lines of the store's log, from warnings on. */
  readonly log: string[] = [];
  /** Unhandled rejections. */
  readonly unhandled: string[] = [];
  /** Resolves when it is gone and all it wrote has been read. */
  readonly gone: Promise<Exit>;
  /** Whether the store said that only a new process can continue. */
  hasAskedForNewOne = false;
  /** Sees every event when it arrives. */
  onEvent: ((event: HistoryEvent) => void) | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #unanswered: string[] = [];
  /** Of the store itself, which is not the child under strace. Not known before it is up. */
  #pid: number | undefined;
  /** Why no call can be answered any more. */
  #end: ProcessGone | undefined;
  #stderr = '';
  #callsCount = 0;

  constructor({ under = [], env = {}, ...program }: StartOptions = {}) {
    // The node in front of the path, as under strace; not the one that vitest may have been started with.
    const command = [...under, process.execPath, programPath, JSON.stringify(program)];
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: 'pipe',
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(tmpdir(), 'everywire-compile-cache'),
        // As after a real power cut, which changes the boot id: LMDB then believes only what it flushed.
        LMDB_RESTORE: 'safe',
        ...env,
      },
    });
    let rest = '';
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.#take(JSON.parse(line) as OutLine);
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    // Writing to a process that has just been killed is what these tests do.
    this.#child.stdin!.on('error', () => undefined);
    this.gone = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        this.#end = new ProcessGone(exit, this.#stderr);
        for (const { reject } of this.#waiting.values()) reject(this.#end);
        this.#waiting.clear();
        resolve(exit);
      };
      this.#child.on('close', (code, signal) => end({ code, signal }));
      this.#child.on('error', (error) => {
        this.#stderr += error.message;
        end({ code: null, signal: null });
      });
    });
  }

  /** @throws CallFailed what the store refused, ProcessGone when it died */
  call<Op extends keyof Calls>(op: Op, args: Parameters<Calls[Op]>[0]): Promise<ReturnType<Calls[Op]>> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#callsCount += 1;
    const no = this.#callsCount;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(no);
        this.#unanswered.push(op);
        reject(
          new NoAnswer(`no answer to ${op} within ${callTimeoutMs} ms: it hangs\n${this.#whereabouts()}`),
        );
      }, callTimeoutMs);
      this.#waiting.set(no, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value as ReturnType<Calls[Op]>);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.stdin!.write(`${JSON.stringify({ no, op, args })}\n`);
    });
  }

  /** Takes what was written down so far. */
  takeHistory(): HistoryEvent[] {
    return this.history.splice(0);
  }

  /**
   * SIGKILL; resolves once nothing more can come. Under strace the store goes first, and then strace, which would leave it
   * behind.
   * @throws NotGone
   */
  async kill(): Promise<Exit> {
    if (this.#end === undefined) {
      const { pid } = this.#child;
      if (pid !== undefined) for (const started of startedBy(pid)) killIfThere(started);
      // Where strace has ended, and the store has not.
      if (this.#pid !== undefined) killIfThere(this.#pid);
      this.#child.kill('SIGKILL');
    }
    return this.#goneInTime('it was killed');
  }

  /**
   * Closes the store as a server does that is asked to stop, and waits for the process, which nothing keeps then.
   * @throws NotGone
   */
  async close(): Promise<Exit> {
    await this.call('close', null);
    this.#child.stdin!.end();
    return this.#goneInTime('its store was closed');
  }

  async #goneInTime(since: string): Promise<Exit> {
    const exit = await within(this.gone, endsWithinMs);
    if (exit !== 'late') return exit;
    const unanswered = this.#unanswered.length > 0 ? `, unanswered: ${this.#unanswered.join(', ')}` : '';
    throw new NotGone(
      `the store's process is there ${endsWithinMs} ms after ${since}${unanswered}\n${this.#whereabouts()}`,
    );
  }

  #whereabouts(): string {
    return this.#child.pid === undefined ? '' : whereaboutsOf(this.#child.pid);
  }

  #take(line: OutLine): void {
    switch (line.kind) {
      case 'ready':
        this.#pid = line.pid;
        break;
      case 'fatal':
        this.hasAskedForNewOne = true;
        break;
      case 'event':
        this.history.push(line.event);
        this.onEvent?.(line.event);
        break;
      case 'answer':
        this.#waiting.get(line.no)?.resolve(line.value);
        this.#waiting.delete(line.no);
        break;
      case 'failure':
        this.#waiting.get(line.no)?.reject(new CallFailed(line.error.code, line.error.detail));
        this.#waiting.delete(line.no);
        break;
      case 'log':
        this.log.push(`${line.level} ${line.text} ${JSON.stringify(line.fields)}`);
        break;
      case 'unhandled':
        this.unhandled.push(line.detail);
        break;
    }
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (caught) {
    // It went by itself in between.
    if (!(caught instanceof Error && 'code' in caught && caught.code === 'ESRCH')) throw caught;
  }
}
