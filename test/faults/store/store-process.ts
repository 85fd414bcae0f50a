import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HistoryEvent } from '../checker/history.ts';
import type { Calls, OutLine, ProgramOptions } from './calls.ts';

const programPath = join(import.meta.dirname, 'program/store-program.ts');
/** Longer than any call may take: a store that hangs fails the test by name and not by its time-out. */
const callTimeoutMs = 20_000;

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

/** A store in a process of its own; see `Calls` for what it can be asked. */
export class StoreProcess {
  /** Everything it wrote down, in order. Emptied by whoever takes it. */
  readonly history: HistoryEvent[] = [];
  /** Lines of the store's log, from warnings on. */
  readonly log: string[] = [];
  /** Rejections nobody handled. */
  readonly unhandled: string[] = [];
  /** Resolves when it is gone and all it wrote has been read. */
  readonly gone: Promise<Exit>;
  /** Sees every event when it arrives. */
  onEvent: ((event: HistoryEvent) => void) | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: Promise<number>;
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
    let isReady: (pid: number) => void = () => undefined;
    let isLost: (error: Error) => void = () => undefined;
    this.#ready = new Promise((resolve, reject) => {
      isReady = resolve;
      isLost = reject;
    });
    // Whoever never asks for the pid does not have to hear that there is none.
    this.#ready.catch(() => undefined);
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.#take(JSON.parse(line) as OutLine, isReady);
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    // Writing to a process that has just been killed is what these tests do.
    this.#child.stdin!.on('error', () => undefined);
    this.gone = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        const error = new ProcessGone(exit, this.#stderr);
        isLost(error);
        for (const { reject } of this.#waiting.values()) reject(error);
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
    this.#callsCount += 1;
    const no = this.#callsCount;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(no);
        reject(new NoAnswer(`no answer to ${op} within ${callTimeoutMs} ms: the store hangs`));
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

  /** SIGKILL; resolves once nothing more can come. Under strace the store itself is killed, which ends strace too. */
  async kill(): Promise<Exit> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      try {
        process.kill(await this.#ready, 'SIGKILL');
      } catch (caught) {
        // It went by itself in between, or never came up.
        if (!(caught instanceof ProcessGone) && !(caught instanceof Error && 'code' in caught)) throw caught;
      }
    }
    return this.gone;
  }

  /** Closes the store as a server does that is asked to stop, and waits for the process. */
  async close(): Promise<Exit> {
    await this.call('close', null);
    this.#child.stdin!.end();
    return this.gone;
  }

  #take(line: OutLine, isReady: (pid: number) => void): void {
    switch (line.kind) {
      case 'ready':
        isReady(line.pid);
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
