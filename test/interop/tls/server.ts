import type { ConfigInput, ServerParts } from '../../../packages/server/src/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import type { Pair } from './certificates.ts';

export type SecureServer = TestServer & {
  readonly mqtts: string;
  readonly stomps: string;
  readonly grpc: string;
};

/** A whole server with TLS on every listener. */
export async function startSecureServer(
  { cert, key }: Pair,
  config: ConfigInput = {},
  parts: ServerParts = {},
): Promise<SecureServer> {
  const server = await startTestServer(
    {
      ...config,
      mqtt: { port: 0, tlsPort: 0 },
      stomp: { port: 0, tlsPort: 0 },
      tls: { cert, key, ...config.tls },
    },
    parts,
  );
  return server as SecureServer;
}

export function portOf(url: string): number {
  return Number(new URL(url).port);
}
