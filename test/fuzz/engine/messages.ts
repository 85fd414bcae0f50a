import type { Finding } from './findings.ts';
import type { Progress, Report } from './fuzzer.ts';

/** The work of the fuzzing thread, which it gets at its start. */
export interface Work {
  readonly jobs: readonly Job[];
  readonly shared: SharedArrayBuffer;
}

export interface Job {
  readonly name: string;
  /** The file of the harness, from the root of the project. */
  readonly file: string;
  readonly inputs: readonly Uint8Array[];
  readonly seed: number;
  /** Undefined: the number of runs that the harness sets for a bounded run. */
  readonly runsMax: number | undefined;
  readonly durationMsMax: number;
  readonly isGuided: boolean;
}

export type Message =
  | { readonly kind: 'started'; readonly name: string }
  | { readonly kind: 'progress'; readonly name: string; readonly progress: Progress }
  | { readonly kind: 'finding'; readonly name: string; readonly finding: Finding }
  | { readonly kind: 'done'; readonly name: string; readonly report: Report };

/** The current input is in shared memory, because a thread that never returns cannot send it. */
export const inputBytesSharedMax = 64 * 1024;
const headBytes = 8;

export class SharedInput {
  readonly buffer: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer = new SharedArrayBuffer(headBytes + inputBytesSharedMax)) {
    this.buffer = buffer;
    this.#head = new Int32Array(buffer, 0, 2);
    this.#bytes = new Uint8Array(buffer, headBytes);
  }

  put(input: Uint8Array): void {
    const bytes = Math.min(input.length, inputBytesSharedMax);
    this.#bytes.set(bytes === input.length ? input : input.subarray(0, bytes));
    this.#head[1] = bytes;
    this.#head[0] = (this.#head[0]! + 1) | 0;
  }

  /** Changes with every input. */
  get number(): number {
    return Atomics.load(this.#head, 0);
  }

  get(): Uint8Array {
    return this.#bytes.slice(0, this.#head[1]);
  }
}
