import { randomUUID } from 'node:crypto';

/** A message that a process publishes and waits for. When it arrives, everything before it has been delivered. */
export interface Fence {
  readonly fence: string;
  /** Sessions that the sender is recovering: their sockets in other processes are dead, even if they look alive. */
  readonly sessions: readonly string[];
}

type Passed = (cursor: string) => void;

/** The fences of one adapter that are on their way. */
export class Fences {
  readonly #publish: (fence: Fence) => void;
  readonly #waiting = new Map<string, readonly Passed[]>();
  /** Fences of one turn of the event loop are one message. */
  #next: { readonly sessions: string[]; readonly waiting: Passed[] } | undefined;

  constructor(publish: (fence: Fence) => void) {
    this.#publish = publish;
  }

  /** Calls `passed` with the fence's cursor when the fence arrives. */
  raise(passed: Passed, session?: string): void {
    const next = (this.#next ??= this.#begin());
    next.waiting.push(passed);
    if (session !== undefined) next.sessions.push(session);
  }

  /** A fence arrived. Those of other processes have no one waiting here. */
  pass({ fence }: Fence, cursor: string): void {
    const waiting = this.#waiting.get(fence) ?? [];
    this.#waiting.delete(fence);
    for (const passed of waiting) passed(cursor);
  }

  #begin(): { readonly sessions: string[]; readonly waiting: Passed[] } {
    const next = { sessions: [] as string[], waiting: [] as Passed[] };
    setImmediate(() => {
      this.#next = undefined;
      const fence: Fence = { fence: randomUUID(), sessions: next.sessions };
      this.#waiting.set(fence.fence, next.waiting);
      this.#publish(fence);
    });
    return next;
  }
}
