import { isUtf8 } from 'node:buffer';
import { JsonFault, parseStrictJson, type JsonValue, type StrictJsonOptions } from '@everywire/protocol';

/** Parses bytes as strict JSON. Bytes that are not UTF-8 are an error too (RFC 8259 §8.1): the server never replaces them. */
export function parseJsonBytes(bytes: Buffer, options: StrictJsonOptions): JsonValue | JsonFault {
  if (!isUtf8(bytes)) return new JsonFault('The JSON is not UTF-8.', 0);
  return parseStrictJson(bytes.toString(), options);
}
