import { createHmac } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';

/**
 * Standard Webhooks signatures, symmetric form: a secret is `whsec_` and 24 to 64 bytes in base64; what is signed is
 * `<id>.<timestamp>.<body>`; the header holds one `v1,<base64 HMAC-SHA256>` for each secret, parted by spaces.
 */

const prefix = 'whsec_';
const keyBytesMin = 24;
const keyBytesMax = 64;
/** What a secret that we make has: the length of the hash. */
const madeKeyBytes = 32;

/** A new secret; `hex` is a source of random bytes as hexadecimal. */
export function createSecret(hex: (count: number) => string): string {
  return prefix + Buffer.from(hex(madeKeyBytes), 'hex').toString('base64');
}

/**
 * The secret as it is stored, when it is one.
 * @throws EverywireError `invalid`, which does not repeat it
 */
export function checkSecret(text: string): string {
  const base64 = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  const key = Buffer.from(base64, 'base64');
  // Node skips what is not base64, and a key that lost bytes would sign what nobody can verify.
  const isWhole = key.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  if (!isWhole || key.length < keyBytesMin || key.length > keyBytesMax) {
    throw new EverywireError(
      'invalid',
      `secret is ${prefix} and ${keyBytesMin} to ${keyBytesMax} bytes in base64.`,
      { pointers: ['/secret'] },
    );
  }
  return text;
}

export interface Signed {
  /** The same for every attempt; without a full stop, which parts what is signed. */
  readonly id: string;
  /** Seconds since 1970, of this attempt. */
  readonly timestampSeconds: number;
  readonly body: Buffer;
}

/** The value of `webhook-signature`, with one signature for each secret that a receiver may hold just now. */
export function signatureOf({ id, timestampSeconds, body }: Signed, secrets: readonly string[]): string {
  return secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(prefix.length), 'base64');
      const mac = createHmac('sha256', key).update(`${id}.${timestampSeconds}.`).update(body);
      return `v1,${mac.digest('base64')}`;
    })
    .join(' ');
}
