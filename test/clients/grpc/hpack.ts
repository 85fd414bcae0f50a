/**
 * As much of HPACK (RFC 7541) as a peer needs that says byte for byte what a test says: header blocks are written as
 * literals, and read without a dynamic table, which the peer turns off by its SETTINGS.
 */

export type Field = readonly [name: string, value: string | Buffer];

/** Literals without indexing and without Huffman's code (RFC 7541 §6.2.2). */
export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.of(0), ...encodeText(name), ...encodeText(value)]),
  );
}

function encodeText(text: string | Buffer): Buffer[] {
  const bytes = Buffer.from(text as string);
  return [encodeInteger(bytes.length, 7), bytes];
}

/** RFC 7541 §5.1. */
export function encodeInteger(value: number, prefixBits: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Buffer.of(value);
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** Reads a block of a peer that keeps no dynamic table, because our SETTINGS forbid it. */
export function decodeFields(block: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  let at = 0;
  const integer = (prefixBits: number): number => {
    const most = 2 ** prefixBits - 1;
    let value = block[at++]! & most;
    if (value < most) return value;
    for (let weight = 1; ; weight *= 0x80) {
      const byte = block[at++]!;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
    }
  };
  const text = (): string => {
    const isCoded = (block[at]! & 0x80) !== 0;
    const length = integer(7);
    const bytes = block.subarray(at, at + length);
    at += length;
    return isCoded ? decodeHuffman(bytes) : bytes.toString('latin1');
  };
  while (at < block.length) {
    const first = block[at]!;
    if ((first & 0x80) !== 0) {
      const [name, value] = staticTable[integer(7) - 1]!;
      fields[name] = value;
    } else if ((first & 0xe0) === 0x20) {
      integer(5);
    } else {
      const index = integer((first & 0x40) === 0 ? 4 : 6);
      const name = index === 0 ? text() : staticTable[index - 1]![0];
      fields[name] = text();
    }
  }
  return fields;
}

/** RFC 7541 appendix A. */
const staticTable: readonly (readonly [string, string])[] = (
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|' +
  ':status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|' +
  'accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|' +
  'content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|' +
  'cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|' +
  'last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'
)
  .split('|')
  .map((entry) => {
    const [name, value] = entry.split('=') as [string, string?];
    return [name, value ?? ''];
  });

/**
 * Lengths in bits of the codes of the first 128 symbols (RFC 7541 appendix B). The code is canonical, and all others are
 * longer than those of text, so text can be decoded by these.
 */
const codeBits = Buffer.from([
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28,
]);

const codes = canonicalCodes();

function canonicalCodes(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const symbols = [...codeBits.keys()]
    .filter((symbol) => codeBits[symbol]! <= 15)
    .sort((a, b) => codeBits[a]! - codeBits[b]! || a - b);
  let code = 0;
  let bits = 0;
  for (const symbol of symbols) {
    code *= 2 ** (codeBits[symbol]! - bits);
    bits = codeBits[symbol]!;
    found.set(code.toString(2).padStart(bits, '0'), String.fromCharCode(symbol));
    code += 1;
  }
  return found;
}

function decodeHuffman(bytes: Buffer): string {
  let text = '';
  let code = '';
  for (const byte of bytes) {
    for (let mask = 0x80; mask > 0; mask >>= 1) {
      code += (byte & mask) === 0 ? '0' : '1';
      const symbol = codes.get(code);
      if (symbol === undefined) continue;
      text += symbol;
      code = '';
    }
  }
  return text;
}
