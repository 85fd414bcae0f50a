import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { TlsSettings } from './settings.ts';

/** A certificate and its key, read and checked to match. */
export interface LoadedCertificate {
  readonly context: SecureContextOptions;
  /** Its subject alternative names, in Node's text: `DNS:chat.example, IP Address:127.0.0.1`. */
  readonly names: string;
  readonly validFromMs: number;
  readonly validToMs: number;
  /** SHA-256 in hexadecimal, which identifies the certificate in the log. */
  readonly fingerprint: string;
}

/** The files cannot be used. The message is for the operator, and has no content of the files. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

/** Reads and tests the files. @throws CertificateError */
export async function loadCertificate(settings: TlsSettings): Promise<LoadedCertificate> {
  const [cert, key, ca] = await Promise.all([
    read('tls.cert', settings.cert),
    read('tls.key', settings.key),
    settings.clientCa === undefined ? undefined : read('tls.clientCa', settings.clientCa),
  ]);
  const certificate = parseCertificate('tls.cert', settings.cert, cert);
  if (ca !== undefined) parseCertificate('tls.clientCa', settings.clientCa!, ca);
  const { passphrase } = settings;
  if (!certificate.checkPrivateKey(parseKey(settings, key)))
    throw new CertificateError(`tls.key ${settings.key} is not the key of tls.cert ${settings.cert}.`);
  const context: SecureContextOptions = {
    cert,
    key,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(ca === undefined ? {} : { ca }),
  };
  try {
    createSecureContext(context);
  } catch (cause) {
    throw new CertificateError(`tls.cert ${settings.cert} cannot be used (${codeOf(cause)}).`);
  }
  const { subject, subjectAltName, validFrom, validTo, fingerprint256 } = certificate;
  return {
    context,
    names: subjectAltName ?? subject.replaceAll('\n', ', '),
    validFromMs: Date.parse(validFrom),
    validToMs: Date.parse(validTo),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

async function read(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new CertificateError(`${what} ${path} cannot be read (${codeOf(cause)}).`);
  }
}

function parseCertificate(what: string, path: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new CertificateError(`${what} ${path} has no certificate in PEM.`);
  }
}

/** OpenSSL's message about a key could reveal a part of it, so it is not passed on. */
function parseKey({ key: path, passphrase }: TlsSettings, key: Buffer): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    const isLocked = key.includes('ENCRYPTED');
    const words = !isLocked
      ? 'holds no private key in PEM'
      : passphrase === undefined
        ? 'is encrypted, and there is no tls.passphrase'
        : 'cannot be opened with tls.passphrase';
    throw new CertificateError(`tls.key ${path} ${words} (${codeOf(cause)}).`);
  }
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? 'unknown';
}
