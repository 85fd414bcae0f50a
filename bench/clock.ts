import { performance } from 'node:perf_hooks';

// `performance.now()` and `hrtime` read the same clock; only hrtime counts from an origin all processes share.
const originUs = Number(process.hrtime.bigint()) / 1_000 - performance.now() * 1_000;

/** Microseconds of the machine's monotonic clock: comparable between processes, unlike `performance.now()`. */
export function nowUs(): number {
  return Math.round(originUs + performance.now() * 1_000);
}
