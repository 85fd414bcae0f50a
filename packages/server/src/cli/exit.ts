/** The meaning of the process's exit code. */
export const exitCodes = { done: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

/** How long an open handle may keep a process whose work is done. */
const patienceMs = 1_000;

/**
 * Ends the process once nothing is left to do. `process.exit()` at once may never end it: a thread of V8 that is compiling
 * and finds the heap full waits for the main thread to collect garbage, which waits for that thread (nodejs/node#54918 and
 * #64274; with Node 24.21 about one exit in 3,000 under load). When the event loop has run dry, V8 lets its threads go.
 */
export function endWith(code: number): void {
  process.exitCode = code;
  setTimeout(() => process.exit(code), patienceMs).unref();
}

export type ExitName = keyof typeof exitCodes;

/** A command that failed. `message` is for people and goes to standard error. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exit: ExitName;

  constructor(exit: ExitName, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exit = exit;
  }
}
