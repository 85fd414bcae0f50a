/** A message as JSON, on every wire that speaks JSON. Absent fields are empty, never null. */
export interface Envelope {
  readonly channel: string;
  /** The message's number in its channel: 1, 2, 3, no holes. */
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly event?: string;
  /** Media type of the payload. */
  readonly type: string;
  /** The JSON value when `type` is JSON, a string when it is text. */
  readonly data?: unknown;
  /** The payload in base64, in place of `data`, when it is neither JSON nor text. */
  readonly base64?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The authenticated subject that published it; never set by the client. */
  readonly from?: string;
}

/** Messages between a cursor and the next valid place exist no more, or cannot be proved to be the same log. */
export interface GapNotice {
  readonly channel: string;
  /** First and last offset that are gone; absent where the range cannot be known. */
  readonly from?: number;
  readonly to?: number;
  readonly reason: GapReason;
  /** The next valid cursor: reading goes on from here. */
  readonly cursor: string;
}

/**
 * `retention`: trimmed. `deleted`: the channel was deleted. `restored`: the cursor comes from a life of the log that
 * this store does not have. `damaged`: the stored record fails its checksum.
 */
export type GapReason = 'retention' | 'deleted' | 'restored' | 'damaged';

export type Continuity = 'exact' | 'gap';

/** What a publisher is told once its message is stored. */
export interface Receipt {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly time: string;
  /** Present and true when the publish id had been used: this is the first answer again. */
  readonly duplicate?: true;
}
