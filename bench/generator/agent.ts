import { serveCalls } from '../calls.ts';
import type { AgentCalls } from './agent-calls.ts';
import { Group } from './group.ts';
import { poll } from './polling.ts';
import { flood, PacedPublishing, publishCount } from './publishing.ts';

// The program of a load generator: a child process on its own core that gets its orders over IPC.
const groups = new Map<string, Group>();
const publishing = new PacedPublishing();

serveCalls<AgentCalls>({
  connect: async ({ group: name, plan }) => {
    const startedMs = performance.now();
    const group = new Group(plan);
    groups.set(name, group);
    await group.connect();
    return { elapsedMs: performance.now() - startedMs };
  },
  mark: (name) => {
    groupNamed(name).mark();
    return undefined;
  },
  report: (name) => groupNamed(name).report(),
  reached: async ({ group, seq, timeoutMs }) => {
    const timedOut = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => timedOut.resolve(false), timeoutMs);
    const isComplete = await Promise.race([
      groupNamed(group)
        .reached(seq)
        .then(() => true),
      timedOut.promise,
    ]);
    clearTimeout(timer);
    return { isComplete };
  },
  pause: (name) => {
    groupNamed(name).pause();
    return undefined;
  },
  resume: (name) => {
    groupNamed(name).resume();
    return undefined;
  },
  close: (name) => {
    groupNamed(name).close();
    groups.delete(name);
    return undefined;
  },
  startPublishing: async (plan) => {
    await publishing.start(plan);
    return undefined;
  },
  stopPublishing: () => publishing.stop(),
  publishCount,
  flood,
  poll,
});

function groupNamed(name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`there is no group ${name}`);
  return group;
}
