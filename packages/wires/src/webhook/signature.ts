import { createHmac, timingSafeEqual } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';

/**
 * Standard Webhooks signatures, symmetric form: a secret is `whsec_` and 24 to 64 bytes in base64. The sender signs
 * `<id>.<timestamp>.<body>`. The header holds one `v1,<base64 HMAC-SHA256>` for each secret, separated by spaces.
 */

const prefix = 'whsec_';
const keyBytesMin = 24;
const keyBytesMax = 64;
/** The length of a new secret: that of the hash. */
const madeKeyBytes = 32;

/** Makes a new secret; `hex` returns random bytes as hexadecimal text. */
export function createSecret(hex: (count: number) => string): string {
  return prefix + Buffer.from(hex(madeKeyBytes), 'hex').toString('base64');
}

/** Checks a secret and returns it. @throws EverywireError `invalid`, without the text of the secret */
export function checkSecret(text: string): string {
  const base64 = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  const key = Buffer.from(base64, 'base64');
  // Node skips characters that are not base64, and with an incomplete key no receiver could verify the signatures.
  const isWhole = key.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  if (!isWhole || key.length < keyBytesMin || key.length > keyBytesMax) {
    throw new EverywireError(
      'invalid',
      `secret must be ${prefix} and ${keyBytesMin} to ${keyBytesMax} bytes in base64.`,
      { pointers: ['/secret'] },
    );
  }
  return text;
}

export interface Signed {
  /** The message id, the same for every attempt; without a full stop, which separates the signed parts. */
  readonly id: string;
  /** The time of this attempt, in seconds since 1970. */
  readonly timestampSeconds: number;
  readonly body: Buffer;
}

/** The value of `webhook-signature`, with one signature for each secret that the receiver may have now. */
export function signatureOf(signed: Signed, secrets: readonly string[]): string {
  return secrets.map((secret) => `${version},${macOf(signed, secret).toString('base64')}`).join(' ');
}

/** How far the clocks of receiver and sender may be apart. The libraries of Standard Webhooks use the same value. */
const toleranceSecondsDefault = 300;

export interface VerifyOptions {
  /** The receiver's time; a signature from another time may be a replay. */
  readonly nowSeconds: number;
  readonly toleranceSeconds?: number;
}

/** Whether one signature of the header `webhook-signature` was made with `secret`, at about this time. */
export function isSignedBy(
  signed: Signed,
  header: string,
  secret: string,
  { nowSeconds, toleranceSeconds = toleranceSecondsDefault }: VerifyOptions,
): boolean {
  // Not a comparison with `>`, because NaN would pass it.
  const isTimely = Math.abs(nowSeconds - signed.timestampSeconds) <= toleranceSeconds;
  if (!isTimely) return false;
  const mac = macOf(signed, secret);
  return header.split(' ').some((one) => {
    const comma = one.indexOf(',');
    if (one.slice(0, comma) !== version) return false;
    const given = Buffer.from(one.slice(comma + 1), 'base64');
    return given.length === mac.length && timingSafeEqual(given, mac);
  });
}

const version = 'v1';

function macOf({ id, timestampSeconds, body }: Signed, secret: string): Buffer {
  const key = Buffer.from(secret.slice(prefix.length), 'base64');
  return createHmac('sha256', key).update(`${id}.${timestampSeconds}.`).update(body).digest();
}
