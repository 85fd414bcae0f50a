import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type ConfigInput, type ServerParts } from '../../packages/server/src/index.ts';

export interface TestServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** `mqtt://127.0.0.1:<port>` */
  readonly mqtt: string | undefined;
  /** `stomp://127.0.0.1:<port>` */
  readonly stomp: string | undefined;
  /** Over TLS, where there is a certificate. */
  readonly mqtts: string | undefined;
  readonly stomps: string | undefined;
  /** `127.0.0.1:<port>` */
  readonly grpc: string | undefined;
  /** Reads its certificate anew. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A whole server in this process, on a free port. By default it keeps its data in LMDB, as users do, in a folder that it
 * removes when it stops.
 */
export async function startTestServer(config: ConfigInput, parts: ServerParts = {}): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-test-'));
  const server = createServer(
    {
      store: `lmdb:${folder}`,
      log: { level: 'error' },
      mqtt: { port: 0 },
      stomp: { port: 0 },
      grpc: { port: 0 },
      // Endpoints of tests are on this machine.
      webhooks: { allowTargets: ['127.0.0.1'] },
      ...config,
      http: { port: 0, ...config.http },
    },
    parts,
  );
  const { http, mqtt, stomp, mqtts, stomps, grpc } = await server.start();
  return {
    url: http,
    mqtt,
    stomp,
    mqtts,
    stomps,
    grpc,
    reload: () => server.reload(),
    async stop(): Promise<void> {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}
