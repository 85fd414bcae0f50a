import { writeSync } from 'node:fs';
import type { HistoryEvent } from '../../checker/history.ts';
import type { OutLine } from '../calls.ts';

/**
 * Writes the whole line at once, so that everything that the process knew before the kill reaches its reader. Standard
 * output is a blocking pipe as long as no code touches `process.stdout`.
 */
export function writeLine(line: OutLine): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
}

export function tell(event: HistoryEvent): void {
  writeLine({ kind: 'event', event });
}

/** Nanoseconds of the machine's monotonic clock, which all processes share. */
export function nowNs(): number {
  return Number(process.hrtime.bigint());
}
