import { createServer } from 'node:http';
import { Histogram } from '../histogram.ts';
import { nowUs } from '../clock.ts';
import { serveCalls } from '../calls.ts';
import { listen } from './listen.ts';

/** Endpoints on many ports, since a server keeps few connections to one host; and one that never answers. */
// A type, not an interface: only types have the index signature that `Calls` asks for.
export type ReceiverCalls = {
  readonly open: {
    readonly ask: { readonly ports: number };
    readonly answer: { readonly ports: readonly number[]; readonly deadPort: number };
  };
  /** What has been taken so far, and how long it took from publishing to arriving. */
  readonly taken: {
    readonly ask: undefined;
    readonly answer: { readonly count: number; readonly p50Us: number; readonly p99Us: number };
  };
};

let count = 0;
const latency = new Histogram();

serveCalls<ReceiverCalls>({
  open: async ({ ports }) => {
    const open = (): Promise<number> =>
      listen(
        createServer((request, response) => {
          const chunks: Buffer[] = [];
          request.on('data', (chunk: Buffer) => chunks.push(chunk));
          request.on('end', () => {
            const { data } = JSON.parse(Buffer.concat(chunks).toString()) as { data: { atUs: number } };
            latency.add(nowUs() - data.atUs);
            count += 1;
            response.writeHead(204).end();
          });
        }),
      );
    const deadPort = await listen(createServer(() => undefined));
    return { ports: await Promise.all(Array.from({ length: ports }, open)), deadPort };
  },
  taken: () => {
    const { p50Us, p99Us } = latency.summary();
    return { count, p50Us, p99Us };
  },
});
