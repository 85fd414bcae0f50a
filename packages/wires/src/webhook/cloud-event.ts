/** A CloudEvent 1.0, in whichever mode of the HTTP binding it came. */
export interface CloudEvent {
  /** Context attributes by name (§3.1), `specversion` among them. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly data: Buffer;
  /** Media type of the data. */
  readonly type: string;
}

/** Headers of a message that was published as a CloudEvent, and header fields of the binary mode, begin with it. */
export const cloudEventHeaderPrefix = 'ce-';
/** `type` of a CloudEvent made from a message without an event name. Read again, it means no event name. */
export const plainEventType = 'everywire.message';
