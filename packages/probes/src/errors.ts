import { isPassing, type Ending, type Refusal } from '@everywire/protocol';

/** The server was not reached at all. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The connection to the server was lost. The caller can resume from its last cursor. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/** The server refused. */
export class Refused extends Error {
  override readonly name = 'Refused';
  /** The error code of the table, if the answer had one. */
  readonly code: string | undefined;
  /** Whether the same request may succeed later. */
  readonly isPassing: boolean;
  /** The server asks for this wait before another attempt. */
  readonly retryAfterMs: number | undefined;
  /** The answer was not one that a server of this protocol sends. */
  readonly isForeign: boolean;

  /** `ending`: how the protocol refused. Empty: the answer was not one that a server of this protocol sends. */
  constructor(message: string, ending: Ending = {}, retryAfterMs?: number) {
    super(message);
    this.code = ending.code;
    this.retryAfterMs = retryAfterMs;
    this.isForeign = Object.values(ending).every((one) => one === undefined);
    this.isPassing = Object.values(ending).some((one) => one !== undefined) && isPassing(ending);
  }
}

/** This wire cannot carry the publication or the subscription. Nothing was sent. */
export class Unsendable extends Error {
  override readonly name = 'Unsendable';
  /** The message begins with the name of a member of the publication; the command line has an option for it. */
  readonly isOption: boolean;

  constructor(message: string, options: { readonly isOption?: boolean; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.isOption = options.isOption ?? false;
  }
}

/** The `Cut` for the end of a socket. */
export function toCut(caught: unknown): Cut {
  if (caught instanceof Cut) return caught;
  const { code, message } = caught as NodeJS.ErrnoException;
  return new Cut(`the connection was lost (${code ?? message})`, { cause: caught });
}

/** Makes an error of a refusal. `how` adds the number of the protocol, for people. */
export function toRefused(refusal: Refusal | undefined, ending: Ending = {}, how = ''): Refused {
  const { code, message = 'no reason was given', httpStatus, retryAfterMs } = refusal ?? {};
  return new Refused(`${code ?? 'refused'}${how}: ${message}`, { code, httpStatus, ...ending }, retryAfterMs);
}
