import { readdirSync, readFileSync } from 'node:fs';

/**
 * What each thread of a process, and of those that it started, waits for, so that a test that gives up on one can say
 * where it hangs: the thread's name, its state (proc(5)), the kernel's function it sleeps in, its system call by number.
 */
export function whereaboutsOf(pid: number): string {
  const threads = listFolder(`/proc/${pid}/task`);
  const lines = threads.map((thread) => {
    const at = (name: string): string => readIfThere(`/proc/${pid}/task/${thread}/${name}`);
    const state = /^State:\s*(.*)$/m.exec(at('status'))?.[1] ?? 'gone';
    return `${pid}/${thread} ${at('comm')}: ${state}, ${at('wchan')}, system call ${at('syscall').split(' ')[0]}`;
  });
  return [...lines, ...startedBy(pid).map(whereaboutsOf)].join('\n');
}

/** The processes that a process has started and that are still there. */
export function startedBy(pid: number): readonly number[] {
  return listFolder(`/proc/${pid}/task`).flatMap((thread) =>
    readIfThere(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
}

function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    // It has gone, or this system has no /proc.
    return [];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // It has gone in between, or the kernel keeps it to itself.
    return '';
  }
}
