import { parentPort, workerData } from 'node:worker_threads';
import type { Harness } from '../harness.ts';
import { fuzz } from './fuzzer.ts';
import { Loader } from './loader.ts';
import { SharedInput, type Message, type Work } from './messages.ts';

/** The thread that fuzzes: harness after harness, while another thread watches that each input comes to an end. */

/** Of the bounded run, which has to be short; deep is what the long ones are for. */
const runsDefault = 2_000;

const { jobs, shared } = workerData as Work;
const input = new SharedInput(shared);
const loader = new Loader();
loader.install();
const tell = (message: Message): void => parentPort!.postMessage(message);

for (const { name, file, runsMax, ...options } of jobs) {
  tell({ kind: 'started', name });
  const { module, coverage } = await loader.load(file, name);
  const { harness } = module as { readonly harness: Harness };
  const report = await fuzz(harness, coverage, {
    ...options,
    runsMax: runsMax ?? harness.runsInCi ?? runsDefault,
    onInput: (bytes) => input.put(bytes),
    onFinding: (finding) => tell({ kind: 'finding', name, finding }),
    onProgress: (progress) => tell({ kind: 'progress', name, progress }),
  });
  tell({ kind: 'done', name, report });
}
parentPort!.close();
