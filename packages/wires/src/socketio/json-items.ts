/** Character codes that begin and end JSON values. */
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;

/**
 * The items of a JSON array as raw text, so that a payload can be forwarded without encoding it again. The text must be
 * valid JSON. `undefined`: it is not an array, or is nested deeper than `depthMax`.
 */
export function itemsOfArray(text: string, depthMax: number): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  const items: string[] = [];
  let depth = 0;
  let from = 1;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === quote) {
      at = endOfString(text, at);
    } else if (unit === 0x5b || unit === 0x7b) {
      depth += 1;
      if (depth > depthMax) return undefined;
    } else if (unit === 0x5d || unit === 0x7d) {
      depth -= 1;
      if (depth === 0) {
        const last = text.slice(from, at).trim();
        if (items.length > 0 || last !== '') items.push(last);
        return items;
      }
    } else if (unit === comma && depth === 1) {
      items.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return undefined;
}

/** The position of the closing quote of the string at `at`. */
function endOfString(text: string, at: number): number {
  for (let next = at + 1; next < text.length; next += 1) {
    const unit = text.charCodeAt(next);
    if (unit === backslash) next += 1;
    else if (unit === quote) return next;
  }
  return text.length;
}
