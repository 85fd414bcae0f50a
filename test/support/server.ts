import { createServer, type ConfigInput } from '../../packages/server/src/index.ts';

export interface TestServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  stop(): Promise<void>;
}

/** A whole server in this process, on a port of its own; the memory store unless the test says otherwise. */
export async function startTestServer(config: ConfigInput): Promise<TestServer> {
  const server = createServer({
    store: 'memory:',
    log: { level: 'error' },
    ...config,
    http: { port: 0, ...config.http },
  });
  const { http } = await server.start();
  return { url: http, stop: () => server.stop() };
}
