import { isUtf8 } from 'node:buffer';
import { shapeOfType } from '@everywire/protocol';

/** Media types of payloads. MQTT has them as content type since version 5, and does not check them. */

const typeLengthMax = 255;
const mediaType = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;[\t\x20-\x7e]*)?$/;

/** Whether a content type may be the message's type on other transports: it is a media type, and JSON is JSON. */
export function isHonestType(contentType: string, payload: Buffer): boolean {
  if (contentType.length > typeLengthMax || !mediaType.test(contentType)) return false;
  return shapeOfType(contentType) !== 'json' || isJson(payload);
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
