import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { isPinned } from './child.ts';
import type { Bench, Row, Scenario } from './run.ts';
import { scenarios } from './scenarios/index.ts';
import { formatTable } from './table.ts';
import { ours, peers } from './targets/index.ts';

const usage = `usage: npm run bench -- [scenario…] [options]

  scenarios      ${scenarios.map(({ name }) => name).join(', ')} (default: all)
  --peers a,b    compare with these only: ${peers.map(({ peer }) => peer).join(', ')}; "none" for none
  --stores a,b   of ours, only these: lmdb, memory
  --wires a,b    in fan-out, idle, storm and slow, only these: websocket, sse, stream, mqtt, socketio, stomp, grpc
  --duration s   length of each measurement (default 8)
  --quick        small sizes and 2 s: shows that everything works
  --json FILE    also writes the results there
`;

// The longest scenario at full size takes a third of this; a server that hangs must not hang the bench.
const scenarioTimeoutMs = 30 * 60_000;

interface Options {
  readonly chosen: readonly Scenario[];
  readonly bench: Bench;
  readonly jsonPath: string | undefined;
}

const options = readOptions();
if (options === undefined) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  // `process.exit` reaches the handler that ends the children.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  process.exitCode = (await runAll(options)) ? 0 : 1;
}

/** Runs and prints the chosen scenarios; false when one could not be finished. */
async function runAll({ chosen, bench, jsonPath }: Options): Promise<boolean> {
  let isWhole = true;
  const results: { scenario: string; title: string; rows: readonly Row[]; error?: string }[] = [];
  if (!isPinned)
    bench.progress('without taskset and two cores, servers and generators share: compare with care');
  for (const scenario of chosen) {
    const rows: Row[] = [];
    let error: string | undefined;
    const timer = setTimeout(() => {
      bench.progress(`${scenario.name} took over ${scenarioTimeoutMs / 60_000} minutes`);
      process.exit(1);
    }, scenarioTimeoutMs);
    try {
      for await (const row of scenario.run(bench)) {
        rows.push(row);
        bench.progress(`  ${JSON.stringify(row)}`);
      }
    } catch (caught) {
      isWhole = false;
      error = caught instanceof Error ? caught.message : String(caught);
      bench.progress(`${scenario.name} failed: ${caught instanceof Error ? caught.stack : error}`);
    }
    clearTimeout(timer);
    results.push({
      scenario: scenario.name,
      title: scenario.title,
      rows,
      ...(error === undefined ? {} : { error }),
    });
    process.stdout.write(`\n${scenario.title}\n\n${rows.length === 0 ? '(no result)' : formatTable(rows)}\n`);
    if (error !== undefined) process.stdout.write(`\nnot finished: ${error}\n`);
  }
  if (jsonPath !== undefined)
    writeFileSync(jsonPath, `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`);
  return isWhole;
}

function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        peers: { type: 'string' },
        stores: { type: 'string' },
        wires: { type: 'string' },
        duration: { type: 'string' },
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return undefined;
    const durationSeconds = Number(values.duration ?? (values.quick ? 2 : 8));
    if (!(durationSeconds > 0)) throw new Error(`--duration ${values.duration} is not a number of seconds`);
    const progress = (text: string): void => void process.stderr.write(`${text}\n`);
    return {
      chosen: choose('scenario', positionals, scenarios, ({ name }) => name),
      bench: {
        ours: choose('store', listed(values.stores), ours, ({ name }) => name.split(' ')[1]!),
        peers: choosePeers(values.peers, progress),
        wires: listed(values.wires),
        durationMs: durationSeconds * 1_000,
        isQuick: values.quick,
        progress,
      },
      jsonPath: values.json,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}

function choosePeers(given: string | undefined, progress: (text: string) => void): Bench['peers'] {
  if (given === 'none') return [];
  return choose('peer', listed(given), peers, ({ peer }) => peer!).filter((target) => {
    const missing = target.missing();
    if (missing !== undefined) progress(`skipped ${target.name}: ${missing}`);
    return missing === undefined;
  });
}

function listed(text: string | undefined): readonly string[] {
  return text === undefined ? [] : text.split(',');
}

/** The named members of `all`, or all if no name is given. Throws on an unknown name. */
function choose<T>(
  kind: string,
  names: readonly string[],
  all: readonly T[],
  nameOf: (each: T) => string,
): readonly T[] {
  const unknown = names.find((name) => !all.some((each) => nameOf(each) === name));
  if (unknown !== undefined) throw new Error(`there is no ${kind} ${unknown}`);
  return names.length === 0 ? all : all.filter((each) => names.includes(nameOf(each)));
}

function machine(): object {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    isPinned,
    date: new Date().toISOString(),
  };
}
