/**
 * A cursor is a place in the store as opaque text, the same on every wire:
 *
 *     1k3f9q2 . 1a2b . 9f3c0d4e5a6b7c8d
 *     │└ epoch  └ seq  └ check tag of the last message read, 16 hex digits
 *     └ version of this format
 *
 * It names a place, not a right. Its length does not depend on how many channels were read. There is exactly one
 * spelling per place, so a cut, padded or altered cursor does not parse.
 */

/** A cursor decoded. Only the core and the stores look inside. */
export interface Position {
  /** The life of the log: it starts when a writer opens the store. */
  readonly epoch: string;
  /** The store-wide number of the last message read; 0 before the first. */
  readonly seq: number;
  /** Sixteen hex digits of the message at `seq`; another message with the same seq has others. */
  readonly tag: string;
}

/** Longest text that can be a cursor: version, 6 epoch, dot, 11 seq, dot, 16 tag. */
export const cursorLengthMax = 36;
export const epochLength = 6;
/** The tag of a position without a message: the start of an empty store. */
export const noTag = '0000000000000000';

const shape = /^1([0-9a-z]{6})\.(0|[1-9a-z][0-9a-z]{0,10})\.([0-9a-f]{16})$/;

export function formatCursor(position: Position): string {
  return `1${position.epoch}.${position.seq.toString(36)}.${position.tag}`;
}

/** Returns the position, or `undefined` if `text` is not a cursor: the caller then refuses it as `bad_cursor`. */
export function parseCursor(text: string): Position | undefined {
  if (text.length > cursorLengthMax) return undefined;
  const match = shape.exec(text);
  if (match === null) return undefined;
  const seq = Number.parseInt(match[2]!, 36);
  if (!Number.isSafeInteger(seq)) return undefined;
  return { epoch: match[1]!, seq, tag: match[3]! };
}
