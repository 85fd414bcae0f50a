import { frameMessage, prefixFlags } from './frames.ts';

/**
 * Trailers of gRPC-Web (PROTOCOL-WEB). Browsers cannot read HTTP trailers, so they are the last frame of a response: a
 * block of lines `name:value` as in HTTP/1.1, with names in small letters.
 */
export function webTrailersFrame(trailers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(trailers).map(([name, value]) => `${name.toLowerCase()}: ${value}\r\n`);
  return frameMessage(Buffer.from(lines.join('')), prefixFlags.webTrailers);
}

/** Reads the last frame of a gRPC-Web stream, from `MessageReader.end`. */
export function parseWebTrailers(bytes: Buffer): Record<string, string> {
  const fields = bytes
    .toString()
    .split('\r\n')
    .map((line) => [line, line.indexOf(':')] as const)
    .filter(([, colon]) => colon > 0)
    .map(([line, colon]) => [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]);
  return Object.fromEntries(fields) as Record<string, string>;
}
