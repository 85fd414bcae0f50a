/** A histogram as the core counts it. */
export interface HistogramSource {
  readonly boundsMs: readonly number[];
  /** By bucket; the last one is for everything above the last bound. */
  readonly counts: ArrayLike<number>;
  readonly sumMs: number;
}

/** Prometheus' text of a histogram, in seconds. The library would want each observation, and these are counted already. */
export function histogramText(
  name: string,
  help: string,
  { boundsMs, counts, sumMs }: HistogramSource,
): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  let count = 0;
  for (const [at, boundMs] of boundsMs.entries()) {
    count += counts[at]!;
    lines.push(`${name}_bucket{le="${boundMs / 1_000}"} ${count}`);
  }
  count += counts[boundsMs.length]!;
  lines.push(
    `${name}_bucket{le="+Inf"} ${count}`,
    `${name}_sum ${sumMs / 1_000}`,
    `${name}_count ${count}`,
    '',
  );
  return lines.join('\n');
}
