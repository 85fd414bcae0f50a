import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { simulateAcknowledging } from '../test/simulation/acknowledging/simulation.ts';
import { simulate } from '../test/simulation/simulation.ts';

/**
 * `npm run test:long -- simulation [seeds]`: both simulations under seeds 1 to `seeds`, in pieces. A run that was stopped
 * continues at the piece it was at, as long as the code is the same; one that is finished says so again.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const stateFile = join(root, 'node_modules', '.simulation.json');
const steps = 500;
const pieceSeeds = 100;

interface State {
  /** Of all that a seed's outcome depends on. */
  readonly code: string;
  /** Seeds from 1 to here were tried, all of them in both simulations. */
  readonly triedThrough: number;
  readonly deliveries: number;
  readonly cpuMs: number;
  readonly faults: readonly Fault[];
}

interface Fault {
  readonly simulation: 'core' | 'acknowledging';
  readonly seed: number;
  readonly problems: readonly unknown[];
}

/** Runs the seeds that are left. Returns the exit code. */
export async function runSeeds(seeds: number): Promise<number> {
  const code = digestOfCode();
  let state = readState(code);
  while (state.triedThrough < seeds) {
    state = await runPiece(state, Math.min(seeds, state.triedThrough + pieceSeeds));
    writeState(state);
    process.stdout.write(`${summaryOf(state)}\n`);
  }
  process.stdout.write(`${new Date().toISOString()} done: ${summaryOf(state)}\n`);
  for (const fault of state.faults) process.stdout.write(`${JSON.stringify(fault)}\n`);
  return state.faults.length === 0 ? 0 : 1;
}

async function runPiece(state: State, through: number): Promise<State> {
  const startedAt = process.cpuUsage();
  const faults: Fault[] = [];
  let { deliveries } = state;
  for (let seed = state.triedThrough + 1; seed <= through; seed += 1) {
    const core = await simulate({ seed, steps });
    deliveries += core.deliveries;
    const found = [...core.problems, ...core.violations];
    if (core.deliveries === 0) found.push('nothing was delivered');
    if (found.length > 0) faults.push({ simulation: 'core', seed, problems: found });
    const { problems } = await simulateAcknowledging({ seed, steps });
    if (problems.length > 0) faults.push({ simulation: 'acknowledging', seed, problems });
  }
  const { user, system } = process.cpuUsage(startedAt);
  return {
    ...state,
    triedThrough: through,
    deliveries,
    cpuMs: state.cpuMs + (user + system) / 1_000,
    faults: [...state.faults, ...faults],
  };
}

function summaryOf({ code, triedThrough, deliveries, cpuMs, faults }: State): string {
  const seconds = Math.round(cpuMs / 1_000);
  return `${triedThrough} seeds in both simulations, ${deliveries} deliveries, ${faults.length} faults, ${seconds} s of CPU, code ${code}`;
}

function readState(code: string): State {
  const empty: State = { code, triedThrough: 0, deliveries: 0, cpuMs: 0, faults: [] };
  if (!existsSync(stateFile)) return empty;
  const found = JSON.parse(readFileSync(stateFile, 'utf8')) as State;
  return found.code === code ? found : empty;
}

function writeState(state: State): void {
  writeFileSync(`${stateFile}.new`, JSON.stringify(state));
  renameSync(`${stateFile}.new`, stateFile);
}

function digestOfCode(): string {
  const hash = createHash('sha256');
  const parts = [
    'packages/{protocol,server}/src/**/*.ts',
    'packages/server/test/core/**/*.ts',
    'test/{simulation,faults/checker}/**/*.ts',
  ];
  for (const path of globSync(parts, { cwd: root }).toSorted())
    hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest('hex').slice(0, 12);
}
