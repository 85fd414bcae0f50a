import { readFileSync } from 'node:fs';
import { CommandError } from './exit.ts';

/** The characters of a bearer token (RFC 6750 §2.1); tickets use them too. */
const shape = /^[\w.~+/=-]+$/;

/**
 * The token for the server: from the option, else from `EVERYWIRE_TOKEN`, else from the file that
 * `EVERYWIRE_TOKEN_FILE` names.
 * @throws CommandError `usage`
 */
export function chooseToken(option: string | undefined): string | undefined {
  const { EVERYWIRE_TOKEN: variable, EVERYWIRE_TOKEN_FILE: path } = process.env;
  const given = option ?? (variable || undefined) ?? (path ? readTokenFile(path) : undefined);
  return given === undefined ? undefined : checkToken(given);
}

/**
 * Removes the white space that editors and pipes add. Never prints the text, also if it is not a token.
 * @throws CommandError `usage`
 */
export function checkToken(text: string): string {
  const token = text.trim();
  if (!shape.test(token))
    throw new CommandError('usage', 'The given token has characters that no token has.');
  return token;
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    throw new CommandError('usage', `EVERYWIRE_TOKEN_FILE: cannot read ${path} (${code}).`, cause);
  }
}
