/** A CloudEvent 1.0, from any mode of the HTTP binding. */
export interface CloudEvent {
  /** Context attributes by name (§3.1), `specversion` among them, with the types that they came with. */
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  /** Absent where the event has none, which is not the same as data of no bytes. */
  readonly data: Buffer | undefined;
  /** Media type of the data; absent where nothing tells it. */
  readonly type: string | undefined;
  /** `data_base64`, or a body whose type nothing tells: without `datacontenttype` only the member `data` implies JSON. */
  readonly isBinary: boolean;
}

/** The types that JSON has for attributes (JSON format §2.2). */
export type AttributeValue = string | number | boolean;

/** The prefix of the headers of a message that was published as a CloudEvent, and of header fields in binary mode. */
export const cloudEventHeaderPrefix = 'ce-';
/** The `type` of a CloudEvent for a message without an event name. When it is read, it means no event name. */
export const plainEventType = 'everywire.message';

/** The first byte of `Draft.native` in messages that were published as CloudEvents. It is stored: never change it. */
export const cloudEventNativeByte = 4;

/**
 * The parts of a CloudEvent that payload, type and headers of a message cannot hold. The message stores them as JSON behind
 * `cloudEventNativeByte`, so that the event leaves unchanged.
 */
export interface CloudEventForm {
  /** As `datacontenttype` told it; absent: nothing did. */
  readonly type?: string | undefined;
  readonly hasData: boolean;
  readonly isBinary: boolean;
  /** Attributes that are no strings. */
  readonly values: Readonly<Record<string, number | boolean>>;
}

export function writeForm({ attributes, data, isBinary }: CloudEvent): Buffer {
  const values: Record<string, number | boolean> = {};
  for (const [name, value] of attributes) if (typeof value !== 'string') values[name] = value;
  const told = attributes.get('datacontenttype');
  const form: CloudEventForm = {
    ...(told === undefined ? {} : { type: String(told) }),
    hasData: data !== undefined,
    isBinary,
    values,
  };
  return Buffer.concat([Buffer.from([cloudEventNativeByte]), Buffer.from(JSON.stringify(form))]);
}

/** `undefined`: it was not published as a CloudEvent, or by a version that kept nothing of this. */
export function readForm(native: Buffer | undefined): CloudEventForm | undefined {
  if (native?.[0] !== cloudEventNativeByte) return undefined;
  return JSON.parse(native.toString('utf8', 1)) as CloudEventForm;
}
