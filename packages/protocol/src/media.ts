/** How a payload is shown on wires that carry text: by its media type, and never against its bytes. */
export type Shape = 'json' | 'text' | 'binary';

/**
 * `application/x-www-form-urlencoded` counts as text: it is ASCII by definition, and it is what `curl -d` sends.
 * XML and JavaScript are text as well (RFC 7303, RFC 9239).
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
