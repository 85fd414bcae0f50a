import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Hook {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly atMs: number;
}

type Answer = (hook: Hook, response: ServerResponse, index: number) => void;

/** A webhook endpoint on loopback. If a test asks, it verifies requests with the library of Standard Webhooks. */
export class Receiver {
  readonly hooks: Hook[] = [];
  readonly #server: Server;
  readonly #waiting: { readonly count: number; resolve(): void }[] = [];
  answer: Answer;

  private constructor(server: Server, answer: Answer) {
    this.#server = server;
    this.answer = answer;
  }

  static async start(answer: Answer = (_, response) => response.writeHead(204).end()): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server, answer);
    server.on('request', (request, response) => void receiver.#take(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Resolves when `count` requests have come. */
  received(count: number): Promise<void> {
    if (this.hooks.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  verified(secret: string): readonly unknown[] {
    const library = new Webhook(secret);
    return this.hooks.map(({ headers, body }) => library.verify(body, headers as Record<string, string>));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const hook = { headers: request.headers, body: Buffer.concat(chunks).toString(), atMs: Date.now() };
    this.hooks.push(hook);
    this.answer(hook, response, this.hooks.length - 1);
    for (const waiting of [...this.#waiting]) {
      if (this.hooks.length < waiting.count) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve();
    }
  }
}
