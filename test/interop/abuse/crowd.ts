import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { Agent as SecureAgent, request as requestSecurely } from 'node:https';
import type { ServedEverywire } from '../../support/everywire.ts';

const mib = 1024 ** 2;

/** Memory of a process that is its own, in MiB. */
export function residentMib(pid: number): number {
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round((Number(kib) * 1024) / mib);
}

/** Processor time of a process so far, in milliseconds. */
export function cpuMs(pid: number): number {
  // The name, in parentheses, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const ticksPerSecond = 100;
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}

/** A client that publishes all the time, and must not notice the attack of the others. */
export class GoodClient {
  readonly #latenciesMs: number[] = [];
  readonly #server: ServedEverywire;
  readonly #token: string;
  readonly #agent: Agent;
  #isStopped = false;
  #isDone: Promise<void> = Promise.resolve();
  failures = 0;

  constructor(server: ServedEverywire, token: string) {
    this.#server = server;
    this.#token = token;
    const keep = { keepAlive: true, maxSockets: 1 };
    this.#agent = server.http.startsWith('https:')
      ? new SecureAgent({ ...keep, rejectUnauthorized: false })
      : new Agent(keep);
  }

  start(): void {
    this.#isDone = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#isDone;
    this.#agent.destroy();
  }

  /** Of what was published since the last call. */
  p99Ms(): number {
    const sorted = this.#latenciesMs.splice(0).sort((left, right) => left - right);
    return Math.round(sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const fromMs = performance.now();
      if ((await this.#publish()) !== 201) this.failures += 1;
      this.#latenciesMs.push(performance.now() - fromMs);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #publish(): Promise<number> {
    const ask = this.#server.http.startsWith('https:') ? requestSecurely : request;
    return new Promise((resolve) => {
      const sent = ask(`${this.#server.http}/channels/good`, {
        agent: this.#agent,
        method: 'POST',
        headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'text/plain' },
      });
      sent.on('response', (response) => {
        response.resume().on('end', () => resolve(response.statusCode!));
      });
      sent.on('error', () => resolve(0));
      sent.end('x');
    });
  }
}
