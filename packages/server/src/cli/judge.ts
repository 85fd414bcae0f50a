import { createServer } from 'node:net';
import { findStoreProblem } from '../stores/index.ts';
import { CertificateError, loadCertificate } from '../tls/certificate.ts';
import { createTargetRules } from '../transports/webhook/targets.ts';
import type { Config } from '../config/schema.ts';

/**
 * Everything that keeps a server with this configuration from starting on this machine, without opening the store or a
 * port that is asked for. One sentence each; `serve`, `config check` and `doctor` ask here.
 */
export async function findHindrances(config: Config): Promise<readonly string[]> {
  const found = [
    await findHostProblem(config.http.host),
    findStoreProblem(config.store),
    findTargetProblem(config.webhooks.allowTargets),
    await findTlsProblem(config),
  ];
  return found.filter((problem) => problem !== undefined);
}

/** Listens for an instant at a port that the system chooses. */
export async function findHostProblem(host: string): Promise<string | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port: 0 }, resolve);
    });
  } catch (error) {
    return explainHost(host, error as NodeJS.ErrnoException);
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return undefined;
}

function explainHost(host: string, { code = 'unknown' }: NodeJS.ErrnoException): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `http.host ${host} does not resolve to an address (${code}). Use an address of this machine, or 127.0.0.1.`;
  if (code === 'EADDRNOTAVAIL') return `http.host ${host} is not an address of this machine.`;
  return `http.host ${host} cannot be listened on (${code}).`;
}

function findTargetProblem(allowTargets: readonly string[]): string | undefined {
  try {
    createTargetRules(allowTargets);
    return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return error.message;
  }
}

async function findTlsProblem({ tls }: Config): Promise<string | undefined> {
  const { cert, key } = tls;
  if (cert === undefined || key === undefined) return undefined;
  try {
    await loadCertificate({ ...tls, cert, key });
    return undefined;
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return error.message;
  }
}
