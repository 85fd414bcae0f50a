import { EverywireError } from './errors.ts';

export interface NameLimits {
  /** The length of a channel or filter name, in bytes of UTF-8. */
  readonly nameBytesMax: number;
  readonly nameLevelsMax: number;
}

// C0, DEL and C1. U+2028 and U+2029 are not control characters and stay literal.
const control = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Checks a channel name and returns it unchanged. `/` separates levels, and an empty level is a level: `/a`, `a/` and
 * `a` are three names. Nothing is normalised.
 * @throws EverywireError `bad_name`
 */
export function checkChannel(name: string, limits: NameLimits): string {
  checkText(name, 'channel', limits);
  if (/[+#*]/.test(name)) throw new EverywireError('bad_name', 'A channel name must not contain + # or *.');
  if (name.startsWith('$'))
    throw new EverywireError('bad_name', 'Names that begin with $ belong to the server.');
  return name;
}

/**
 * A subject as one level of a channel name: `a/b+c` gives `a%2Fb%2Bc`. Two subjects never give the same level, and no
 * subject gives a wildcard or a second level.
 */
export function levelOfSubject(subject: string): string {
  return subject.replace(/[%/+#*]|^[$!]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The common checks of channel and filter names. */
export function checkText(name: string, what: 'channel' | 'filter', limits: NameLimits): void {
  if (name.length === 0) throw new EverywireError('bad_name', `A ${what} name must not be empty.`);
  if (!name.isWellFormed())
    throw new EverywireError('bad_name', `A ${what} name must be well-formed Unicode.`);
  if (exceedsBytes(name, limits.nameBytesMax)) {
    throw new EverywireError('bad_name', `A ${what} name has at most ${limits.nameBytesMax} bytes of UTF-8.`);
  }
  if (control.test(name))
    throw new EverywireError('bad_name', `A ${what} name must not contain control characters.`);
  let levels = 1;
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) levels += 1;
  if (levels > limits.nameLevelsMax) {
    throw new EverywireError('bad_name', `A ${what} name has at most ${limits.nameLevelsMax} levels.`);
  }
}

const beyondAscii = /[^\u0000-\u007f]/;

/** Whether well-formed `text` is longer than `bytesMax` in UTF-8. */
function exceedsBytes(text: string, bytesMax: number): boolean {
  // A UTF-16 unit has one to three bytes in UTF-8, so most names need no count.
  if (text.length * 3 <= bytesMax) return false;
  if (text.length > bytesMax) return true;
  if (!beyondAscii.test(text)) return false;
  let bytes = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    const isHalfOfPair = unit >= 0xd800 && unit <= 0xdfff;
    bytes += unit < 0x80 ? 1 : unit < 0x800 || isHalfOfPair ? 2 : 3;
  }
  return bytes > bytesMax;
}
