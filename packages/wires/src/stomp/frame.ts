/** The versions of the protocol, oldest first. */
export const versions = ['1.0', '1.1', '1.2'] as const;

export type Version = (typeof versions)[number];

/** One frame. If a header repeats, this has the first one (1.2, Repeated Header Entries). */
export interface Frame {
  readonly command: string;
  readonly headers: ReadonlyMap<string, string>;
  /** May be part of a larger chunk: copy what is kept for long. */
  readonly body: Buffer;
}

/** Header fields in the order in which they are written. */
export type Headers = Iterable<readonly [name: string, value: string]>;
