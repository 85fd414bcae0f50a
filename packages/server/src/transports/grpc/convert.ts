import { create } from '@bufbuild/protobuf';
import { durationMs, durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { formatCursor, gapNotice, toEverywireError, parseFrom, type From } from '@everywire/protocol';
import { errorDomain } from '@everywire/wires/grpc';
import * as proto from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import {
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Published, PublishDraft, ReadPage } from '../../core/seams/session-api.ts';

/** The table's numbers are those of gRPC, which Connect's enum has too. */
const codes: ReadonlyMap<number, Code> = new Map(
  Object.values(Code)
    .filter((code) => typeof code === 'number')
    .map((code) => [code, code]),
);

/** Converts between generated messages and the types of the hub. proto3 has no "absent": an empty string means absent. */
export function draftOf(request: proto.PublishRequest): PublishDraft {
  const { data, type, event, headers, key, retain, ttl } = request;
  return {
    payload: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    type: type === '' ? undefined : type,
    event: event === '' ? undefined : event,
    headers: new Map(Object.entries(headers)),
    key: key === '' ? undefined : key,
    retain,
    ttlMs: ttl === undefined ? undefined : durationMs(ttl),
  };
}

/** @throws EverywireError `invalid` */
export function fromOf(
  given: { readonly after: string; readonly since: string },
  nowMs: number,
): From | undefined {
  const { after, since } = given;
  return parseFrom(
    { after: after === '' ? undefined : after, since: since === '' ? undefined : since },
    nowMs,
  );
}

export function publishResponse(published: Published): proto.PublishResponse {
  return create(proto.PublishResponseSchema, {
    channel: published.channel,
    offset: BigInt(published.offset),
    cursor: published.cursor,
    id: published.id,
    time: timestampFromMs(published.timeMs),
    duplicate: published.duplicate,
  });
}

export function protoMessage(message: Message): proto.Message {
  return create(proto.MessageSchema, {
    channel: message.channel,
    offset: BigInt(message.offset),
    cursor: message.cursor,
    id: message.id,
    time: timestampFromMs(message.timeMs),
    event: message.event ?? '',
    type: message.type,
    data: message.payload,
    headers: Object.fromEntries(message.headers ?? []),
    from: message.from ?? '',
  });
}

export function protoGap(gap: Gap): proto.Gap {
  const { channel, from, to, reason, cursor } = gapNotice(gap);
  return create(proto.GapSchema, {
    channel,
    from: BigInt(from ?? 0),
    to: BigInt(to ?? 0),
    reason,
    cursor,
  });
}

export function readResponse({ messages, through, gaps, more }: ReadPage): proto.ReadResponse {
  return create(proto.ReadResponseSchema, {
    messages: messages.map(protoMessage),
    cursor: formatCursor(through),
    gaps: gaps.map(protoGap),
    more,
  });
}

export function protoGoAway(retryAfterMs: number): proto.GoAway {
  return create(proto.GoAwaySchema, { retryAfter: durationFromMs(retryAfterMs) });
}

export function refusal(caught: unknown): proto.Refusal {
  const { code, message, retryAfterMs } = toEverywireError(caught);
  return create(proto.RefusalSchema, {
    code,
    message,
    ...(retryAfterMs === undefined ? {} : { retryAfter: durationFromMs(retryAfterMs) }),
  });
}

/** A refusal in the form of gRPC: the status of the error table, and the code as the reason of an ErrorInfo. */
export function connectErrorOf(caught: unknown): ConnectError {
  if (caught instanceof ConnectError) return caught;
  const error = toEverywireError(caught);
  const details: { desc: typeof ErrorInfoSchema | typeof RetryInfoSchema; value: object }[] = [
    { desc: ErrorInfoSchema, value: { reason: error.code.toUpperCase(), domain: errorDomain } },
  ];
  if (error.retryAfterMs !== undefined)
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(error.retryAfterMs) } });
  return new ConnectError(error.message, codes.get(error.row.grpc), undefined, details as never, error);
}
