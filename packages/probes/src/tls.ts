/** Why the TLS handshake failed, if it would fail again. `undefined`: another reason. */
export function explainTls({ code }: NodeJS.ErrnoException): string | undefined {
  if (code === undefined) return undefined;
  if (code.startsWith('ERR_TLS_CERT_ALTNAME')) return `its certificate is for other names (${code})`;
  if (verifying.test(code))
    return `its certificate is not trusted (${code}); --ca names a file of authorities`;
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return `it does not speak TLS there (${code})`;
  return undefined;
}

/** Error codes of OpenSSL's verification (`X509_V_ERR_…`) in Node. */
const verifying = /^(CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|INVALID_CA|PATH_LENGTH_|HOSTNAME_MISMATCH)/;
