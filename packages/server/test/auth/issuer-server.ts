import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A key set at an issuer's URL, or a document that an attacker wants a server to fetch. */
export interface IssuerServer {
  /** `http://127.0.0.1:<port>/keys` */
  readonly url: string;
  /** Since the start. */
  readonly connections: number;
  readonly requests: number;
  /** What it answers from now on. */
  answer: (response: ServerResponse) => void;
  stop(): Promise<void>;
}

export function answerJson(value: unknown): IssuerServer['answer'] {
  return (response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value));
  };
}

export async function startIssuerServer(answer = answerJson({ keys: [] })): Promise<IssuerServer> {
  const counts = { connections: 0, requests: 0 };
  const listener: RequestListener = (_request, response) => {
    counts.requests += 1;
    started.answer(response);
  };
  const server = createServer(listener);
  server.on('connection', () => (counts.connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const started = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    get connections(): number {
      return counts.connections;
    },
    get requests(): number {
      return counts.requests;
    },
    answer,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return started;
}
