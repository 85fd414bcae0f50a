import type { Version } from './frame.ts';

/** The escaping of CONNECT and CONNECTED, for all later versions (1.2, Value Encoding). */
export type Escapes = Version | 'none';

/** The escapes in the header fields of a frame. 1.0 has none. */
export function escapesOf(command: string, version: Version): Escapes {
  return version === '1.0' || command === 'CONNECTED' || command === 'CONNECT' ? 'none' : version;
}

const special = /[\\\r\n:]/;
const specials = /[\\\r\n:]/g;
/** Characters that a header field cannot carry at all: they would end the line, the name or the frame. */
const impossible: Readonly<Record<Escapes, RegExp>> = {
  none: /[\r\n\0]/,
  '1.0': /[\r\n\0]/,
  // 1.1 has no escape for CR, and a CR before the LF would count as part of the line end.
  '1.1': /[\r\0]/,
  '1.2': /\0/,
};
const written: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['\r', '\\r'],
  ['\n', '\\n'],
  [':', '\\c'],
]);

/** One header line, or nothing if this version cannot express the name or the value. */
export function headerLine(name: string, value: string, escapes: Escapes): string {
  if (impossible[escapes].test(name) || impossible[escapes].test(value) || name === '') return '';
  if (escapes === 'none' || escapes === '1.0') return name.includes(':') ? '' : `${name}:${value}\n`;
  return `${escapeText(name)}:${escapeText(value)}\n`;
}

function escapeText(text: string): string {
  return special.test(text) ? text.replace(specials, (one) => written.get(one)!) : text;
}

/** Undoes the escapes; `undefined` for one that this version does not define, which is fatal (1.2, Value Encoding). */
export function unescapeText(text: string, escapes: Escapes): string | undefined {
  if (escapes === 'none' || escapes === '1.0' || !text.includes('\\')) return text;
  let plain = '';
  let from = 0;
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', from)) {
    const meant = meaningOf(text.charAt(at + 1), escapes);
    if (meant === undefined) return undefined;
    plain += text.slice(from, at) + meant;
    from = at + 2;
  }
  return plain + text.slice(from);
}

function meaningOf(letter: string, escapes: Escapes): string | undefined {
  switch (letter) {
    case '\\':
      return '\\';
    case 'n':
      return '\n';
    case 'c':
      return ':';
    case 'r':
      return escapes === '1.2' ? '\r' : undefined;
    default:
      return undefined;
  }
}
