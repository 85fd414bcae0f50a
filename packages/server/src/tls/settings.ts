/** The TLS part of the configuration. Paths are of PEM files. */
export interface TlsSettings {
  /** The certificate, followed by the intermediate certificates. */
  readonly cert: string;
  readonly key: string;
  /** The passphrase of an encrypted key. */
  readonly passphrase?: string | undefined;
  /** The authorities of accepted client certificates. */
  readonly clientCa?: string | undefined;
  /** `request`: a client need not have a certificate, but one that it sends must be valid. */
  readonly clientCertificates: 'none' | 'request' | 'require';
  readonly subjectFrom: SubjectFrom;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** The part of a client certificate that becomes the subject. */
export type SubjectFrom = 'none' | 'cn' | 'san-email' | 'san-uri' | 'san-dns';
