import { Worker } from 'node:worker_threads';
import type { Finding } from './findings.ts';
import type { Progress, Report } from './fuzzer.ts';
import { SharedInput, type Job, type Message, type Work } from './messages.ts';

export interface Result {
  readonly name: string;
  readonly findings: readonly Finding[];
  /** Undefined when an input never came to an end, or used up the memory. */
  readonly report: Report | undefined;
}

export interface CampaignOptions {
  readonly onFinding?: (name: string, finding: Finding) => void;
  readonly onProgress?: (name: string, progress: Progress) => void;
  readonly onResult?: (result: Result) => void;
  /** An input that takes this long is taken to have no end. */
  readonly hangMs?: number;
}

const lookEveryMs = 100;
/** Loading and compiling a harness, until its first input. */
const beginMsMax = 60_000;
/**
 * What one input may add to the memory of the process. It is looked at from outside the thread, because a heap that meets
 * its own limit takes the whole process with it as often as not; that limit is therefore far away.
 */
const residentBytesMax = 256 * 1024 * 1024;
const heapMibMax = 8_192;

/**
 * Fuzzes in a separate thread, job after job. If the thread of a job never returns, or dies for lack of memory, the
 * campaign records that as a finding and runs the other jobs in a new thread.
 */
export async function runCampaign(jobs: readonly Job[], options: CampaignOptions = {}): Promise<Result[]> {
  const results: Result[] = [];
  while (results.length < jobs.length) {
    results.push(...(await runThread(jobs.slice(results.length), options)));
  }
  return results;
}

/** The results of one thread, at least one. */
async function runThread(jobs: readonly Job[], options: CampaignOptions): Promise<Result[]> {
  const { hangMs = 10_000, onFinding, onProgress } = options;
  const shared = new SharedInput();
  const results: Result[] = [];
  let findings: Finding[] = [];
  let name = jobs[0]!.name;
  let isExecuting = false;
  let fatal: Pick<Finding, 'kind' | 'detail'> | undefined;
  const finish = (report: Report | undefined): void => {
    const result = { name, findings, report };
    findings = [];
    results.push(result);
    options.onResult?.(result);
  };
  const found = (finding: Finding): void => {
    findings.push(finding);
    onFinding?.(name, finding);
  };

  const work: Work = { jobs, shared: shared.buffer };
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: work,
    // Not those of the program that asks, such as a test runner's.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: heapMibMax },
  });
  worker.on('message', (message: Message) => {
    switch (message.kind) {
      case 'started':
        ({ name } = message);
        isExecuting = false;
        return;
      case 'progress':
        return onProgress?.(name, message.progress);
      case 'finding': {
        found(message.finding);
        return;
      }
      case 'done': {
        finish(message.report);
        return;
      }
    }
  });
  worker.on('error', (error: Error) => {
    fatal ??= { kind: 'exception', detail: error.stack ?? String(error) };
  });

  const end = (kind: Finding['kind'], detail: string): void => {
    fatal ??= { kind, detail };
    void worker.terminate();
  };
  let seen = shared.number;
  let seenAt = performance.now();
  let residentBytes = process.memoryUsage.rss();
  const look = setInterval(() => {
    const nowMs = performance.now();
    if (shared.number !== seen) {
      seen = shared.number;
      seenAt = nowMs;
      isExecuting = true;
      residentBytes = process.memoryUsage.rss();
    } else if (process.memoryUsage.rss() - residentBytes > residentBytesMax) {
      end('memory', `This input takes more than ${residentBytesMax} bytes of memory.`);
    } else if (nowMs - seenAt > (isExecuting ? hangMs : beginMsMax)) {
      end('hang', `This input did not end within ${hangMs} ms.`);
    }
  }, lookEveryMs);
  await new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  clearInterval(look);

  if (results.length < jobs.length) fatal ??= { kind: 'exception', detail: 'This input ended the thread.' };
  if (fatal !== undefined) {
    found({ ...fatal, signature: fatal.kind, input: shared.get() });
    finish(undefined);
  }
  return results;
}
