import type { Harness } from '../harness.ts';
import { Corpus } from './corpus.ts';
import type { Coverage } from './coverage.ts';
import { describeError, signatureOf, type Finding } from './findings.ts';
import { reachableBytes } from './memory.ts';
import { Mutator } from './mutate.ts';
import { SeededRandom } from './random.ts';
import { shrink } from './shrink.ts';

export interface FuzzOptions {
  readonly seed: number;
  /** Executions, those of seeds and of shrinking among them. */
  readonly runsMax: number;
  /** Stops at the first of this and `runsMax`. */
  readonly durationMsMax: number;
  /** Whether inputs that take new branches are kept and changed further. Only a control turns it off. */
  readonly isGuided: boolean;
  /** Inputs beyond the harness's seeds: regressions, and the corpus of an earlier run. */
  readonly inputs: readonly Uint8Array[];
  /** Called before each input, so that the watching thread knows which input never ended. */
  readonly onInput: (input: Uint8Array) => void;
  readonly onFinding: (finding: Finding) => void;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly runs: number;
  readonly elapsedMs: number;
  /** Of this thread's processor, which others on the machine do not change. */
  readonly cpuMs: number;
  /** Branches taken, of those in the modules that the harness loads. */
  readonly branchesTaken: number;
  readonly features: number;
  readonly corpusInputs: number;
}

export interface Report extends Progress {
  readonly branches: number;
  /** Inputs that the decoder took. */
  readonly accepted: number;
  /** What the second half of the run added to the memory in use, beyond the corpus. */
  readonly grownBytes: number;
  /** Sums up which inputs were kept: the same for the same seed. */
  readonly corpusDigest: number;
  readonly corpus: readonly Uint8Array[];
}

/** An input that takes longer is a finding. Machines that do something else meanwhile are allowed for. */
export const slowMs = 100;
/** What a run may add to the memory in use; more is a leak. Far more than compiled code and caches come to. */
export const grownBytesMax = 4 * 1024 * 1024;
const shrinkTriesMax = 2_000;
const trimTriesMax = 48;
const progressEveryRuns = 1 << 13;
const findingsMax = 20;

export async function fuzz(harness: Harness, coverage: Coverage, options: FuzzOptions): Promise<Report> {
  const run = new Run(harness, coverage, options);
  return run.all();
}

class Run {
  readonly #harness: Harness;
  readonly #coverage: Coverage;
  readonly #options: FuzzOptions;
  readonly #random: SeededRandom;
  readonly #corpus = new Corpus();
  readonly #signatures = new Set<string>();
  readonly #startedAt = performance.now();
  #isSeeding = true;
  readonly #cpuAtStart = process.threadCpuUsage();
  #runs = 0;
  #features = 0;
  #accepted = 0;
  #grownBytes = 0;

  constructor(harness: Harness, coverage: Coverage, options: FuzzOptions) {
    this.#harness = harness;
    this.#coverage = coverage;
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
  }

  async all(): Promise<Report> {
    const { runsMax, durationMsMax, onProgress } = this.#options;
    for (const seed of [...this.#harness.seeds, ...this.#options.inputs])
      await this.#tryInput(Buffer.from(seed));
    this.#isSeeding = false;
    if (this.#corpus.inputs.length === 0) this.#corpus.add(Buffer.alloc(0), []);
    const mutator = new Mutator(this.#random, this.#harness.inputBytesMax, this.#dictionary());
    const isOver = (share: number): boolean =>
      this.#runs >= runsMax * share || this.#elapsedMs() >= durationMsMax * share;
    let base: number | undefined;
    while (!isOver(1) && this.#signatures.size < findingsMax) {
      // From the middle on, when what is compiled and cached once has been.
      if (base === undefined && isOver(0.5)) base = this.#memoryBytes();
      const input = this.#corpus.pick(this.#random, this.#coverage.frequency);
      await this.#tryInput(mutator.mutate(input, this.#random.pick(this.#corpus.inputs)));
      if (this.#runs % progressEveryRuns === 0) onProgress(this.#progress());
    }
    if (base !== undefined) this.#checkGrowth(base);
    this.#checkPrototype(Buffer.alloc(0));
    return {
      ...this.#progress(),
      branches: this.#coverage.branches,
      accepted: this.#accepted,
      grownBytes: this.#grownBytes,
      corpusDigest: digestOf(this.#corpus.inputs),
      corpus: this.#corpus.inputs,
    };
  }

  async #tryInput(input: Buffer): Promise<void> {
    const { error, features } = await this.#execute(input);
    if (error !== undefined) {
      await this.#report(input, error.thrown);
    } else if (features.length > 0 && (this.#options.isGuided || this.#isSeeding)) {
      // A seed is there for all that is in it, not only for what it is the first to show.
      const kept = this.#isSeeding ? input : await this.#trim(input, features);
      if (kept.length <= this.#harness.inputBytesMax) this.#corpus.add(kept, features);
    }
  }

  /** Runs the harness once; its coverage is taken, and its time looked at. */
  async #execute(input: Buffer): Promise<Executed> {
    this.#runs += 1;
    this.#options.onInput(input);
    const features: number[] = [];
    const startedAt = performance.now();
    const error = await this.#attempt(Buffer.from(input));
    const tookMs = performance.now() - startedAt;
    const number = this.#coverage.take((feature) => features.push(feature));
    this.#features += features.length;
    if (tookMs > slowMs) await this.#checkTime(input);
    if (error === undefined) this.#checkPrototype(input);
    return { error, features, number };
  }

  async #attempt(input: Buffer): Promise<{ readonly thrown: unknown } | undefined> {
    try {
      const result = this.#harness.run(input);
      if (typeof result === 'boolean' ? result : await result) this.#accepted += 1;
      return undefined;
    } catch (thrown) {
      return { thrown };
    }
  }

  /** Takes away what the features do not need, so that changes hit what matters. */
  async #trim(input: Buffer, features: readonly number[]): Promise<Buffer> {
    const others: { readonly input: Buffer; readonly features: readonly number[] }[] = [];
    const trimmed = await shrink(
      input,
      async (candidate) => {
        const executed = await this.#execute(candidate);
        if (executed.error !== undefined) {
          await this.#report(candidate, executed.error.thrown);
          return false;
        }
        if (executed.features.length > 0) others.push({ input: candidate, features: executed.features });
        return features.every((feature) => this.#coverage.lastSeenAt[feature] === executed.number);
      },
      trimTriesMax,
    );
    for (const other of others) this.#corpus.add(other.input, other.features);
    return trimmed;
  }

  async #report(input: Buffer, thrown: unknown): Promise<void> {
    const signature = signatureOf(thrown);
    if (this.#signatures.has(signature)) return;
    this.#signatures.add(signature);
    let last = thrown;
    const smallest = await shrink(
      input,
      async (candidate) => {
        this.#options.onInput(candidate);
        const again = await this.#attempt(Buffer.from(candidate));
        if (again === undefined || signatureOf(again.thrown) !== signature) return false;
        last = again.thrown;
        return true;
      },
      shrinkTriesMax,
    );
    this.#coverage.clear();
    this.#options.onFinding({ kind: 'exception', signature, detail: describeError(last), input: smallest });
  }

  /** Measures again in processor time of this thread: the first measurement may include the time of other threads. */
  async #checkTime(input: Buffer): Promise<void> {
    let leastMs = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      // Told again, so that it is not taken for one that never ends.
      this.#options.onInput(input);
      const before = process.threadCpuUsage();
      await this.#attempt(Buffer.from(input));
      const { user, system } = process.threadCpuUsage(before);
      leastMs = Math.min(leastMs, (user + system) / 1_000);
    }
    this.#coverage.clear();
    if (leastMs <= slowMs || this.#signatures.has('slow')) return;
    this.#signatures.add('slow');
    const detail = `This input takes ${leastMs.toFixed(0)} ms.`;
    this.#options.onFinding({ kind: 'slow', signature: 'slow', detail, input });
  }

  /** Names that come from outside must never become properties of all objects (T30). */
  #checkPrototype(input: Buffer): void {
    const foreign: string[] = [];
    // Only what can be enumerated is looked for: what assignments make is, and it costs nothing to see.
    for (const name in {}) foreign.push(name);
    if (foreign.length === 0) return;
    for (const name of foreign) Reflect.deleteProperty(Object.prototype, name);
    if (this.#signatures.has('pollution')) return;
    this.#signatures.add('pollution');
    const detail = `Every object has the property ${foreign.join(', ')}.`;
    this.#options.onFinding({ kind: 'pollution', signature: 'pollution', detail, input });
  }

  #memoryBytes(): number {
    return reachableBytes() - this.#corpus.bytes;
  }

  #checkGrowth(base: number): void {
    this.#grownBytes = Math.max(0, this.#memoryBytes() - base);
    if (this.#grownBytes <= grownBytesMax) return;
    const kib = Math.round(this.#grownBytes / 1024);
    const detail = `The second half of ${this.#runs} runs added ${kib} KiB to the memory in use.`;
    this.#options.onFinding({ kind: 'memory', signature: 'growth', detail, input: Buffer.alloc(0) });
  }

  #dictionary(): Buffer[] {
    const words = new Map<string, Buffer>();
    const add = (word: string | Uint8Array): void => {
      const bytes = Buffer.from(word);
      if (bytes.length > 0) words.set(bytes.toString('latin1'), bytes);
    };
    for (const literal of this.#coverage.literals) {
      if (typeof literal === 'number') {
        if (!Number.isSafeInteger(literal) || literal < 0x100 || literal > 0xffffffff) continue;
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(literal);
        add(literal > 0xffff ? bytes : bytes.subarray(2));
        add(String(literal));
      } else if (isWord(literal)) {
        add(literal);
      }
    }
    const own = [...(this.#harness.dictionary ?? [])].map((word) => Buffer.from(word));
    // What was thought of for this decoder is used about as often as all that was not.
    const times = own.length === 0 ? 0 : Math.max(1, Math.floor(words.size / own.length));
    return [...words.values(), ...Array.from({ length: times }, () => own).flat()];
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  #progress(): Progress {
    const { user, system } = process.threadCpuUsage(this.#cpuAtStart);
    return {
      runs: this.#runs,
      elapsedMs: this.#elapsedMs(),
      cpuMs: (user + system) / 1_000,
      branchesTaken: this.#coverage.branchesTaken(),
      features: this.#features,
      corpusInputs: this.#corpus.inputs.length,
    };
  }
}

interface Executed {
  readonly error: { readonly thrown: unknown } | undefined;
  readonly features: readonly number[];
  readonly number: number;
}

/** Sentences are what errors say, and paths are imports: neither is what a decoder looks for. */
function isWord(literal: string): boolean {
  return literal.length <= 32 && !literal.startsWith('.') && !/ .* /.test(literal);
}

/** FNV-1a over all inputs and their lengths. */
function digestOf(inputs: readonly Buffer[]): number {
  let hash = 0x811c9dc5;
  for (const input of inputs) {
    hash = Math.imul(hash ^ input.length, 0x01000193);
    for (const byte of input) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}
