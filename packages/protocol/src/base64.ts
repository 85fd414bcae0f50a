/** Base64 (RFC 4648 §4) without Node's Buffer, which browsers do not have. */

// Not in groups of four: a long text would have too many groups for the stack of the matcher.
const base64Shape = /^[A-Za-z0-9+/]*={0,2}$/;

/** Whether text is base64 with its padding and without white space. */
export function isBase64(text: string): boolean {
  return text.length % 4 === 0 && base64Shape.test(text);
}

/** The arguments of one call go onto the stack, so a chunk is small. */
const chunkBytes = 8_192;

export function base64OfBytes(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    binary += String.fromCharCode(...bytes.subarray(at, at + chunkBytes));
  }
  return btoa(binary);
}

/** The bytes; `undefined` for text that is not base64. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!isBase64(text)) return undefined;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
