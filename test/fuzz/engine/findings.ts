/** What a run is for. */
export interface Finding {
  readonly kind: 'exception' | 'slow' | 'hang' | 'memory' | 'pollution';
  /** Findings with the same one are taken for the same fault. */
  readonly signature: string;
  readonly detail: string;
  /** Smallest input that was found; empty where no single input is to blame. */
  readonly input: Uint8Array;
}

/** The name and the origin of an error, without its message, which may have parts of the input in it. */
export function signatureOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = (error.stack ?? '')
    .split('\n')
    .find((line) => /\/(packages|test\/fuzz\/(?!engine))/.test(line));
  const where = /([\w.-]+\.ts)(?:\?[^:]*)?(:\d+)/.exec(place ?? '');
  return where === null ? `${error.name}: ${error.message}` : `${error.name} at ${where[1]}${where[2]}`;
}

export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
