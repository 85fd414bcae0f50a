import { join } from 'node:path';
import { type CrashRunOptions, type CrashRunResult, runCrashes } from './crash-run.ts';
import { CutDisk } from './disks.ts';

/** `runCrashes` on a disk whose power is cut: unflushed writes are lost with the process. */
export async function runCuts(
  options: Pick<CrashRunOptions, 'cycles' | 'sabotage' | 'start'>,
): Promise<CrashRunResult> {
  const disk = new CutDisk();
  try {
    return await runCrashes({
      ...options,
      url: `lmdb:${join(disk.folder, 'data')}`,
      crash: async (process) => {
        const atNs = disk.cut();
        await process.kill();
        disk.restore();
        return atNs;
      },
    });
  } finally {
    disk.close();
  }
}
