import type { ClientCertificate } from '@everywire/probes';
import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { CommandError } from './exit.ts';

/** Files of `publish` and `subscribe` for servers with TLS, PEM. */
export interface TlsOptions {
  /** Authorities to trust beside those of the system. */
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

/**
 * Trusts the authorities in `ca`, beside those of the system, in this process from here on.
 * @throws CommandError `usage`
 */
export function useTls({ ca, clientCert, clientKey }: TlsOptions): ClientCertificate | undefined {
  if (ca !== undefined) trust(read('--ca', ca), ca);
  if ((clientCert === undefined) !== (clientKey === undefined))
    throw new CommandError('usage', '--client-cert and --client-key belong together.');
  if (clientCert === undefined || clientKey === undefined) return undefined;
  const certificate = { cert: read('--client-cert', clientCert), key: read('--client-key', clientKey) };
  try {
    tls.createSecureContext(certificate);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CommandError(
      'usage',
      `${clientCert} and ${clientKey} are not a matching pair in PEM (${code}).`,
      cause,
    );
  }
  return certificate;
}

function trust(pem: string, path: string): void {
  // Node 22 has it since 22.19.
  const { getCACertificates, setDefaultCACertificates } = tls as Partial<typeof tls>;
  if (getCACertificates === undefined || setDefaultCACertificates === undefined)
    throw new CommandError(
      'usage',
      `--ca needs Node 22.19 or 24.5; NODE_EXTRA_CA_CERTS=${path} does the same.`,
    );
  try {
    setDefaultCACertificates([...getCACertificates('default'), pem]);
  } catch (cause) {
    throw new CommandError('usage', `--ca ${path} has no certificate in PEM.`, cause);
  }
}

function read(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CommandError('usage', `${option} ${path} cannot be read (${code}).`, cause);
  }
}
