/** The form of a payload on text wires. The media type decides it, unless the bytes contradict it. */
export type Shape = 'json' | 'text' | 'binary';

/**
 * `application/x-www-form-urlencoded` counts as text: it is always ASCII, and `curl -d` sends it. XML and JavaScript
 * are text as well (RFC 7303, RFC 9239).
 */
export function shapeOfType(type: string): Shape {
  const end = type.indexOf(';');
  const essence = (end < 0 ? type : type.slice(0, end)).trim().toLowerCase();
  if (essence === 'application/json' || essence.endsWith('+json')) return 'json';
  if (essence.startsWith('text/') || essence.endsWith('+xml')) return 'text';
  return textTypes.has(essence) ? 'text' : 'binary';
}

const textTypes = new Set([
  'application/x-www-form-urlencoded',
  'application/xml',
  'application/javascript',
  'application/yaml',
  'application/x-ndjson',
]);

/** The type of a text that came as a string. */
export const textType = 'text/plain; charset=utf-8';
const jsonType = 'application/json';
const bytesType = 'application/octet-stream';

/** Bytes that text of an unknown type must not have: controls other than TAB, LF and CR. */
const isNotText = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) || byte === 0x7f ? 1 : 0,
);

/**
 * The type of a payload for which the publisher told none: a JSON object or array is JSON, other UTF-8 is text, and the
 * rest is bytes. Numbers and words would be JSON as well, but are as likely plain text.
 */
export function detectType(payload: Uint8Array): string {
  let all = 0;
  for (let at = 0; at < payload.length; at += 1) {
    const byte = payload[at]!;
    if (isNotText[byte] === 1) return bytesType;
    all |= byte;
  }
  const text = all < 0x80 && !mayBeJson(payload) ? '' : decodeUtf8(payload);
  if (text === undefined) return bytesType;
  return mayBeJson(payload) && isJson(text) ? jsonType : textType;
}

const whiteSpace: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** It begins and ends as an object or an array does. */
function mayBeJson(payload: Uint8Array): boolean {
  let first = 0;
  while (whiteSpace.has(payload[first])) first += 1;
  let last = payload.length - 1;
  while (whiteSpace.has(payload[last])) last -= 1;
  const [open, close] = [payload[first], payload[last]];
  return (open === 0x7b && close === 0x7d) || (open === 0x5b && close === 0x5d);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The text; `undefined` if the bytes are not UTF-8, since the server never decodes with losses. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
