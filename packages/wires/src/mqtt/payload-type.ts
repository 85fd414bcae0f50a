import { isUtf8 } from 'node:buffer';
import { shapeOfType } from '@everywire/protocol';

/** Media types of payloads. MQTT has them as content type since version 5, and does not check them. */

const typeLengthMax = 255;
const mediaType = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;[\t\x20-\x7e]*)?$/;
const textType = 'text/plain; charset=utf-8';
const binaryType = 'application/octet-stream';
/** Bytes that text of an unknown type must not have: controls other than TAB, LF and CR. */
const isNotText = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) || byte === 0x7f ? 1 : 0,
);

/** Whether a content type may be the message's type on other transports: it is a media type, and JSON is JSON. */
export function isHonestType(contentType: string, payload: Buffer): boolean {
  if (contentType.length > typeLengthMax || !mediaType.test(contentType)) return false;
  return shapeOfType(contentType) !== 'json' || isJson(payload);
}

/** The type of a payload without a content type: text if it looks like text, so that people can read it elsewhere. */
export function typeOfPayload(payload: Buffer): string {
  let all = 0;
  for (let at = 0; at < payload.length; at += 1) {
    const byte = payload[at]!;
    if (isNotText[byte] === 1) return binaryType;
    all |= byte;
  }
  return all < 0x80 || isUtf8(payload) ? textType : binaryType;
}

function isJson(payload: Buffer): boolean {
  if (!isUtf8(payload)) return false;
  try {
    JSON.parse(payload.toString());
    return true;
  } catch {
    return false;
  }
}
