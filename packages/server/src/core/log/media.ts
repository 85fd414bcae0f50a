import { isUtf8 } from 'node:buffer';
import { shapeOfType, type Shape } from '@everywire/protocol';

/**
 * The shape of a stored payload. Bytes that are not UTF-8 are binary regardless of their media type: decoding must
 * never lose bytes.
 */
export function shapeOf(message: { readonly type: string; readonly payload: Buffer }): Shape {
  const shape = shapeOfType(message.type);
  return shape !== 'binary' && isUtf8(message.payload) ? shape : 'binary';
}
