import { Caller } from './calls.ts';
import { startProgram, stopChild } from './child.ts';
import type { AgentCalls } from './generator/agent-calls.ts';
import type { ChildProcess } from 'node:child_process';

/** A load generator in a separate process, on the generator's core. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #caller: Caller<AgentCalls>;

  constructor() {
    this.#child = startProgram('./generator/agent.ts', 'generator');
    this.#caller = new Caller<AgentCalls>(this.#child);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  call<K extends keyof AgentCalls>(name: K, ask: AgentCalls[K]['ask']): Promise<AgentCalls[K]['answer']> {
    return this.#caller.call(name, ask);
  }

  stop(): Promise<void> {
    return stopChild(this.#child);
  }
}
