import { parseArgs } from 'node:util';
import { runCampaign, type Result } from '../test/fuzz/engine/campaign.ts';
import type { Finding } from '../test/fuzz/engine/findings.ts';
import type { Progress } from '../test/fuzz/engine/fuzzer.ts';
import {
  harnessFile,
  harnessNames,
  inputsIn,
  keepInput,
  keepRegression,
  regressionsOf,
} from '../test/fuzz/harnesses.ts';

/**
 * `npm run fuzz -- <harness…|all> [--minutes N] [--runs N] [--seed N] [--corpus FOLDER]`: fuzzes each harness for N minutes
 * or N runs. If an input breaks a harness, the run keeps the input as a regression and fails.
 * `EVERYWIRE_LONG=1` does what a release needs: ten million runs each.
 */

const usage = 'npm run fuzz -- <harness…|all> [--minutes N] [--runs N] [--seed N] [--corpus FOLDER]';
const releaseRuns = 10_000_000;
const progressEveryMs = 10_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string' },
    runs: { type: 'string' },
    seed: { type: 'string' },
    corpus: { type: 'string' },
  },
});
const known = harnessNames();
const names = positionals.includes('all') ? known : positionals;
const strangers = names.filter((name) => !known.includes(name));
const numbers = [values.minutes, values.runs, values.seed].filter((text) => text !== undefined).map(Number);
if (names.length === 0 || strangers.length > 0 || numbers.some((number) => !(number > 0))) {
  process.stderr.write(`${usage}\nHarnesses: ${known.join(', ')}\n`);
  process.exit(2);
}

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const runsMax = values.runs === undefined ? (isLong ? releaseRuns : Infinity) : Number(values.runs);
const minutes = values.minutes === undefined ? (runsMax < Infinity ? Infinity : 1) : Number(values.minutes);
// Printed, so that a later run can repeat what this one finds.
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
process.stdout.write(`seed ${seed}\n`);

const corpusOf = (name: string): string | undefined =>
  values.corpus === undefined ? undefined : `${values.corpus}/${name}`;

const jobs = names.map((name) => {
  const corpus = corpusOf(name);
  return {
    name,
    file: harnessFile(name),
    inputs: [...regressionsOf(name), ...(corpus === undefined ? [] : inputsIn(corpus))],
    seed,
    runsMax,
    durationMsMax: minutes * 60_000,
    isGuided: true,
  };
});

let toldAtMs = performance.now();
const results = await runCampaign(jobs, {
  onProgress: (name, progress) => {
    if (performance.now() - toldAtMs < progressEveryMs) return;
    toldAtMs = performance.now();
    process.stdout.write(`${name}: ${describe(progress)}\n`);
  },
  onFinding: tellFinding,
  onResult: tellResult,
});
process.exitCode = results.some(({ findings }) => findings.length > 0) ? 1 : 0;

function describe({ runs, cpuMs, branchesTaken, features, corpusInputs }: Progress): string {
  const perSecond = Math.round((runs / cpuMs) * 1_000);
  return `${runs} runs, ${perSecond} per second of processor time, ${branchesTaken} branches, ${features} features, ${corpusInputs} inputs kept`;
}

function tellFinding(name: string, { kind, detail, input }: Finding): void {
  const kept = input.length === 0 ? '' : `\n  kept as ${keepRegression(name, input)}`;
  process.stdout.write(`${name}: ${kind}\n  ${detail.replaceAll('\n', '\n  ')}${kept}\n`);
}

function tellResult({ name, findings, report }: Result): void {
  if (report === undefined) {
    process.stdout.write(`${name}: ended early\n`);
    return;
  }
  const { branches, accepted, grownBytes, corpus } = report;
  const folder = corpusOf(name);
  if (folder !== undefined) for (const input of corpus) keepInput(folder, input);
  process.stdout.write(
    `${name}: ${describe(report)} of ${branches}; ${accepted} taken, grown by ${Math.round(grownBytes / 1024)} KiB, ` +
      `${findings.length} findings\n`,
  );
}
