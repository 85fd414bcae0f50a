import type { ChildProcess } from 'node:child_process';

/** What a process offers to the bench: an operation's name → what it is asked and what it answers. */
export type Calls = Record<string, { readonly ask: unknown; readonly answer: unknown }>;

export type Handlers<C extends Calls> = {
  readonly [K in keyof C]: (ask: C[K]['ask']) => C[K]['answer'] | Promise<C[K]['answer']>;
};

interface Request {
  readonly call: number;
  readonly name: string;
  readonly ask: unknown;
}

interface Answer {
  readonly call: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** Serves `handlers` to the parent process over Node's IPC channel, and ends with it. */
export function serveCalls<C extends Calls>(handlers: Handlers<C>): void {
  const table = new Map<string, (ask: unknown) => unknown>(Object.entries(handlers));
  process.on('message', (message) => {
    const { call, name, ask } = message as Request;
    const handler = table.get(name);
    const answering = async (): Promise<unknown> => {
      if (handler === undefined) throw new Error(`there is no operation ${name}`);
      return handler(ask);
    };
    answering().then(
      (answer: unknown) => process.send?.({ call, answer } satisfies Answer),
      (error: unknown) => process.send?.({ call, error: String(error) } satisfies Answer),
    );
  });
  process.on('disconnect', () => process.exit(0));
}

/** The other end of `serveCalls`. Calls fail when the process ends before it has answered. */
export class Caller<C extends Calls> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastCall = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      const { call, answer, error } = message as Answer;
      const waiting = this.#waiting.get(call);
      this.#waiting.delete(call);
      if (error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(error));
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`the process ended (${signal ?? code ?? 'unknown'}) before it answered`));
      }
      this.#waiting.clear();
    });
  }

  call<K extends keyof C & string>(name: K, ask: C[K]['ask']): Promise<C[K]['answer']> {
    const waiting = Promise.withResolvers<unknown>();
    const call = ++this.#lastCall;
    this.#waiting.set(call, waiting);
    this.#child.send({ call, name, ask } satisfies Request, (error) => {
      if (error !== null && this.#waiting.delete(call)) waiting.reject(error);
    });
    return waiting.promise;
  }
}
