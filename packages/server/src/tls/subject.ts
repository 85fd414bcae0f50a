import type { SubjectFrom } from './settings.ts';

/** The used fields of Node's `PeerCertificate`, whose types know neither lists nor certificates without a subject. */
export interface CertifiedNames {
  readonly subject?: { readonly CN?: string | readonly string[] | undefined } | undefined;
  readonly subjectaltname?: string | undefined;
}

/** The prefixes of the values in Node's text of the alternative names. */
const kinds: ReadonlyMap<SubjectFrom, string> = new Map([
  ['san-email', 'email'],
  ['san-uri', 'URI'],
  ['san-dns', 'DNS'],
]);

/**
 * The subject of a verified certificate: the one common name, or the one alternative name of the kind (RFC 5280
 * §4.2.1.6). `undefined` where there is no such name, or more than one, which would be ambiguous.
 */
export function subjectOf(certificate: CertifiedNames, from: SubjectFrom): string | undefined {
  if (from === 'none') return undefined;
  const names = from === 'cn' ? commonNames(certificate) : alternativeNames(certificate, kinds.get(from)!);
  const [only, ...others] = names;
  return only === '' || others.length > 0 ? undefined : only;
}

function commonNames({ subject }: CertifiedNames): readonly string[] {
  const { CN } = subject ?? {};
  return CN === undefined ? [] : [CN].flat();
}

/** `DNS:a.example, URI:"urn:with\u002c"`: a value with a comma, a quote or a control character is a JSON string. */
function alternativeNames({ subjectaltname }: CertifiedNames, kind: string): readonly string[] {
  const names: string[] = [];
  for (const [, name, value] of (subjectaltname ?? '').matchAll(entry)) {
    if (name === kind) names.push(value!.startsWith('"') ? (JSON.parse(value!) as string) : value!);
  }
  return names;
}

const entry = /(?:^|, )([^:",]+):("(?:[^"\\]|\\.)*"|[^,]*)(?=, |$)/g;
