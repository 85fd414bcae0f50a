import { isUtf8 } from 'node:buffer';
import { EverywireError } from '@everywire/protocol';

const escape = /%([0-9a-f]{2})?/gi;

/**
 * Decodes percent-encoding (RFC 3986 §2.1) strictly. Refuses a single `%` and bytes that are not UTF-8: U+FFFD in their
 * place would make two names equal (T32). `what` names the part of the request for the error.
 * @throws EverywireError `malformed`
 */
export function percentDecode(text: string, what: string): string {
  if (!needsDecoding.test(text)) return text;
  // Node gives the request target as Latin-1: each character is one sent byte.
  const bytes = Buffer.from(
    text.replace(escape, (_, hex: string | undefined) => {
      if (hex === undefined) {
        throw new EverywireError(
          'malformed',
          `In the ${what}, % must be followed by two hexadecimal digits.`,
        );
      }
      return String.fromCharCode(Number.parseInt(hex, 16));
    }),
    'latin1',
  );
  if (!isUtf8(bytes)) throw new EverywireError('malformed', `The ${what} is not UTF-8.`);
  return bytes.toString();
}

const needsDecoding = /[%\u0080-\uffff]/;

/** The raw path of a request target, without its query. */
export function rawPath(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** The raw query, after the first `?`. */
export function rawQuery(url: string): string {
  const at = url.indexOf('?');
  return at < 0 ? '' : url.slice(at + 1);
}

/**
 * The channel or filter in `/channels/<name>`: everything after the prefix, so that empty levels, `..` and a slash at
 * the end are part of the name. An encoded `%2F` separates levels like a plain slash.
 * @throws EverywireError `malformed`
 */
export function channelOfTarget(url: string, prefix: string): string {
  return percentDecode(rawPath(url).slice(prefix.length), 'channel name');
}
