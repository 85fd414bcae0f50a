import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { CommandError } from '../../server/src/cli/exit.ts';

/** Files of `publish` and `subscribe` for servers with TLS, PEM. */
export interface TlsOptions {
  /** Authorities to trust beside those of the system. */
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

/** What this program shows to a server that asks for client certificates. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Trusts the authorities in `ca`, in this process from here on: the WebSocket and the HTTP/2 of Node take them nowhere else.
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
    throw new CommandError('usage', `${clientCert} and ${clientKey} are no pair in PEM (${code}).`, cause);
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
    throw new CommandError('usage', `--ca ${path} holds no certificate in PEM.`, cause);
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

/** For Node's WebSocket, whose connections are undici's. Nothing without a client certificate. */
export async function dispatcherOf(
  certificate: ClientCertificate | undefined,
): Promise<Pick<WebSocketInit, 'dispatcher'>> {
  if (certificate === undefined) return {};
  const { Agent } = await import('undici');
  // The same library in two versions, Node's and ours, whose types do not know of each other.
  const dispatcher: unknown = new Agent({ connect: { ...certificate } });
  return { dispatcher: dispatcher as NonNullable<WebSocketInit['dispatcher']> };
}

/** What ended a connection before anything was said on it, and would again. `undefined`: something else. */
export function explainTls({ code }: NodeJS.ErrnoException): string | undefined {
  if (code === undefined) return undefined;
  if (code.startsWith('ERR_TLS_CERT_ALTNAME')) return `its certificate is for other names (${code})`;
  if (verifying.test(code))
    return `its certificate is not trusted (${code}); --ca names a file of authorities`;
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return `it does not speak TLS there (${code})`;
  return undefined;
}

/** The words of OpenSSL's verification (`X509_V_ERR_…`), as Node has them. */
const verifying = /^(CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|INVALID_CA|PATH_LENGTH_|HOSTNAME_MISMATCH)/;
