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
