import { createHmac, sign, type KeyObject } from 'node:crypto';

/** Tokens from text, so that also what no library would write can be in them. */

/** Names to values as JSON text; `undefined` leaves the member out. */
export type MemberTexts = Readonly<Record<string, string | undefined>>;

export function objectText(members: MemberTexts): string {
  const present = Object.entries(members).filter(([, text]) => text !== undefined);
  return `{${present.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

export function encode(text: string | Buffer): string {
  return Buffer.from(text).toString('base64url');
}

export function joinToken(
  header: string | Buffer,
  payload: string | Buffer,
  signer: (input: Buffer) => Buffer,
): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${encode(signer(Buffer.from(input)))}`;
}

export function hmac(secret: string | Buffer): (input: Buffer) => Buffer {
  return (input) => createHmac('sha256', secret).update(input).digest();
}

/** By the key's own kind, as RFC 7518 §3 and RFC 8037 §3.1 say. */
export function signer(key: KeyObject): (input: Buffer) => Buffer {
  return (input) =>
    key.asymmetricKeyType === 'ed25519'
      ? sign(null, input, key)
      : sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
}
