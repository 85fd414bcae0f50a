import { readFileSync } from 'node:fs';

// USER_HZ: fixed at 100 on every Linux architecture that Node runs on.
const ticksPerSecond = 100;

/** User plus system time of a process and of its children that still run, in microseconds (proc(5)). */
export function cpuUs(pid: number): number {
  return sumOverTree(pid, (each) => {
    const stat = readFileSync(`/proc/${each}/stat`, 'utf8');
    // The command, field 2, may hold spaces; what follows its closing parenthesis does not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticksPerSecond;
  });
}

/**
 * Resident memory of a process and of its children, in bytes, without pages of files: those of an embedded store are
 * the operating system's cache, which takes them back when another program needs the memory.
 */
export function residentBytes(pid: number): number {
  return sumOverTree(pid, (each) => {
    const status = readFileSync(`/proc/${each}/status`, 'utf8');
    const kilobytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
    return (kilobytes('RssAnon') + kilobytes('RssShmem')) * 1_024;
  });
}

/**
 * Waits until resident memory moves less than 0.5 % in `steadyMs`, or `timeoutMs` is over; returns it.
 * Node gives memory back seconds after the work that needed it.
 */
export async function settledBytes(pid: number, steadyMs: number, timeoutMs: number): Promise<number> {
  const giveUpMs = performance.now() + timeoutMs;
  let last = residentBytes(pid);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, steadyMs));
    const bytes = residentBytes(pid);
    if (Math.abs(bytes - last) < bytes * 0.005 || performance.now() > giveUpMs) return bytes;
    last = bytes;
  }
}

function sumOverTree(pid: number, measure: (pid: number) => number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const pids = children === '' ? [] : children.split(' ').map(Number);
  return pids.reduce((sum, child) => sum + sumOverTree(child, measure), measure(pid));
}
