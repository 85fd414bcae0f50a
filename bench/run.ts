import { Agent } from './agent-process.ts';
import type { GroupPlan } from './generator/group.ts';
import type { WireName } from './generator/handshakes.ts';
import { payloadBytesDefault } from './payload.ts';
import { cpuUs } from './process-usage.ts';
import type { RunningTarget, Target } from './targets/target.ts';

/** One line of a scenario's table, by column title. */
export type Row = Readonly<Record<string, string | number>>;

/** What a scenario is given. */
export interface Bench {
  /** Everywire, with each store to be measured. */
  readonly ours: readonly Target[];
  /** The peers that were asked for and are installed. */
  readonly peers: readonly Target[];
  /** Wires to measure, in scenarios that measure several; empty: all. */
  readonly wires: readonly string[];
  readonly durationMs: number;
  /** Smaller sizes, to see whether everything works; the figures mean little. */
  readonly isQuick: boolean;
  progress(text: string): void;
}

/** The wires of `target` that were asked for. */
export function wiresOf(bench: Bench, { wires }: Target): readonly WireName[] {
  return wires.filter((wire) => bench.wires.length === 0 || bench.wires.includes(wire));
}

export interface Scenario {
  readonly name: string;
  /** What is measured, in one line above the table. */
  readonly title: string;
  /** Yields each row as soon as it is measured. */
  run(bench: Bench): AsyncIterable<Row>;
}

/** A started server with its load generators: one process that subscribes, one that publishes. */
export interface Run {
  readonly server: RunningTarget;
  readonly subscribers: Agent;
  readonly publisher: Agent;
}

/** Starts all that a run needs; it is stopped when the run is disposed. */
export async function startRun(target: Target): Promise<Run & AsyncDisposable> {
  const subscribers = new Agent();
  const publisher = new Agent();
  const stopAgents = (): Promise<unknown> => Promise.all([subscribers.stop(), publisher.stop()]);
  try {
    const server = await target.start(publisher);
    return {
      server,
      subscribers,
      publisher,
      [Symbol.asyncDispose]: async () => {
        await stopAgents();
        await server.stop();
      },
    };
  } catch (error) {
    await stopAgents();
    throw error;
  }
}

// Below the backlog of Node's listen (511), so that a storm meets the server's speed and not TCP's retry timer.
const connectingMax = 400;

/** Plan for `count` subscribers of the run's channel, with what a scenario changes in `changes`. */
export function subscribersOf(
  server: RunningTarget,
  wire: WireName,
  count: number,
  changes: Partial<GroupPlan> = {},
): GroupPlan {
  return {
    count,
    port: server.portOf?.(wire) ?? server.port,
    wire,
    path: server.subscribePath(wire),
    connectingMax,
    payloadBytes: payloadBytesDefault,
    ordered: true,
    sampleEvery: 1,
    ...(server.token === undefined ? {} : { token: server.token }),
    ...changes,
  };
}

/** CPU time that passed on each side since `startUsage`, in microseconds. */
export function startUsage({ server, subscribers, publisher }: Run): () => {
  readonly serverUs: number;
  readonly generatorUs: number;
} {
  const generator = (): number => cpuUs(subscribers.pid) + cpuUs(publisher.pid);
  const serverFromUs = cpuUs(server.pid);
  const generatorFromUs = generator();
  return () => ({ serverUs: cpuUs(server.pid) - serverFromUs, generatorUs: generator() - generatorFromUs });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Rounds for a table: three significant digits below 100, whole numbers above. */
export function rounded(value: number): number {
  return Math.abs(value) < 100 ? Number(value.toPrecision(3)) : Math.round(value);
}

export function inMs(us: number): number {
  return rounded(us / 1_000);
}
