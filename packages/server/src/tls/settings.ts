/** The TLS part of the configuration. Paths are of PEM files. */
export interface TlsSettings {
  /** The certificate, and behind it those between it and the root. */
  readonly cert: string;
  readonly key: string;
  /** Of an encrypted key. */
  readonly passphrase?: string | undefined;
  /** Certificates of the authorities whose client certificates are taken. */
  readonly clientCa?: string | undefined;
  /** `request`: a client may have none, but what it shows must be good. */
  readonly clientCertificates: 'none' | 'request' | 'require';
  readonly subjectFrom: SubjectFrom;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** Which part of a client certificate becomes the subject. */
export type SubjectFrom = 'none' | 'cn' | 'san-email' | 'san-uri' | 'san-dns';
