import { readEnvelope, readGapNotice, type Continuity, type Envelope, type GapNotice } from '../envelope.ts';
import { type EverywireError, type Refusal } from '../errors.ts';
import { asRecord } from '../exact-json.ts';

/** Frames of an `everywire.v1` server: answers to commands, messages and notices, each a text frame of JSON. */

/** The subprotocol of `/ws`. */
export const everywireProtocol = 'everywire.v1';

/** Inserted after the first brace of an envelope. It marks messages, because answers and notices use the same connection. */
export const messageMark = '"op":"message",';

/** `id` is the JSON text of the command's id, as in all answers. */
export function okAnswer(id: string): string {
  return `{"id":${id},"ok":true}`;
}

export interface PublishedFields {
  readonly offset: number;
  readonly cursor: string;
  /** The id of the message. */
  readonly id: string;
  /** The publish id was used before: the receipt is a copy of the first one. */
  readonly duplicate: boolean;
}

export function publishedAnswer(id: string, published: PublishedFields): string {
  return (
    `{"id":${id},"ok":true,"offset":${published.offset},"cursor":"${published.cursor}",` +
    `"message":${JSON.stringify(published.id)}${published.duplicate ? ',"duplicate":true' : ''}}`
  );
}

/** A filter can have several gaps: the answer names the first, and the others follow as notices. */
export function subscribedAnswer(id: string, cursor: string, gap: GapNotice | undefined): string {
  return (
    `{"id":${id},"ok":true,"cursor":"${cursor}",` +
    (gap === undefined ? '"continuity":"exact"}' : `"continuity":"gap","gap":${JSON.stringify(gap)}}`)
  );
}

/** Without `id` if the id of the command could not be read. */
export function refusedAnswer(id: string | undefined, error: EverywireError): string {
  const { code, message, retryAfterMs } = error;
  const told = JSON.stringify({ code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  return `{${id === undefined ? '' : `"id":${id},`}"ok":false,"error":${told}}`;
}

export function gapFrame(notice: GapNotice): string {
  return JSON.stringify({ op: 'gap', ...notice });
}

/** A subscription that ended by itself. */
export function endedFrame(channel: string, error: EverywireError | undefined): string {
  return JSON.stringify({
    op: 'ended',
    channel,
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
  });
}

export function goawayFrame(retryAfterMs: number): string {
  return JSON.stringify({ op: 'goaway', retryAfterMs });
}

/** The id of a command in its answer. */
export type AnsweredId = string | number;

/** The content of a frame, for a client. */
export type ServerFrame =
  | { readonly op: 'message'; readonly envelope: Envelope }
  | { readonly op: 'gap'; readonly notice: GapNotice }
  | { readonly op: 'ended'; readonly channel: string; readonly refusal: Refusal | undefined }
  | { readonly op: 'goaway'; readonly retryAfterMs: number }
  | Accepted
  /** `id` is absent when the server could not read the command's. */
  | { readonly op: 'refused'; readonly id: AnsweredId | undefined; readonly refusal: Refusal };

export interface Accepted {
  readonly op: 'accepted';
  readonly id: AnsweredId;
  /** The cursor of the published message, or of the start of a subscription. */
  readonly cursor?: string;
  readonly offset?: number;
  /** The id of the published message. */
  readonly message?: string;
  readonly duplicate?: true;
  readonly continuity?: Continuity;
  readonly gap?: GapNotice;
}

/** Reads a frame from parsed JSON. `undefined` for other JSON, and for unknown frames of a newer server. */
export function readFrame(value: unknown): ServerFrame | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { op, ...rest } = members;
  switch (op) {
    case undefined:
      return readAnswer(rest);
    case 'message': {
      const envelope = readEnvelope(rest);
      return envelope && { op, envelope };
    }
    case 'gap': {
      const notice = readGapNotice(rest);
      return notice && { op, notice };
    }
    case 'ended': {
      const { channel, error } = rest;
      return typeof channel === 'string' ? { op, channel, refusal: readRefusal(error) } : undefined;
    }
    case 'goaway': {
      const { retryAfterMs } = rest;
      return typeof retryAfterMs === 'number' ? { op, retryAfterMs } : undefined;
    }
    default:
      return undefined;
  }
}

function readAnswer(members: Readonly<Record<string, unknown>>): ServerFrame | undefined {
  const { id, ok, error, cursor, offset, message, duplicate, continuity } = members;
  const hasId = typeof id === 'string' || typeof id === 'number';
  if (ok === false) {
    const refusal = readRefusal(error) ?? { code: undefined, message: undefined };
    return { op: 'refused', id: hasId ? id : undefined, refusal };
  }
  if (ok !== true || !hasId) return undefined;
  const gap = readGapNotice(members['gap']);
  return {
    op: 'accepted',
    id,
    ...(typeof cursor === 'string' ? { cursor } : {}),
    ...(typeof offset === 'number' ? { offset } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    ...(duplicate === true ? { duplicate } : {}),
    ...(continuity === 'exact' || continuity === 'gap' ? { continuity } : {}),
    ...(gap === undefined ? {} : { gap }),
  };
}

function readRefusal(value: unknown): Refusal | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { code, message, retryAfterMs } = members;
  return {
    code: typeof code === 'string' ? code : undefined,
    message: typeof message === 'string' ? message : undefined,
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  };
}
