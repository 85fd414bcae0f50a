import { isUtf8 } from 'node:buffer';
import { detectType, EverywireError, shapeOfType } from '@everywire/protocol';
import type { Limits } from '../limits.ts';
import { defaultRules, type NamespaceRules } from './namespaces.ts';
import type { Draft } from './message.ts';
import type { PublishDraft } from '../seams/session-api.ts';

export const defaultType = 'application/octet-stream';

// RFC 9110 §8.3.1: type/subtype of token characters, then parameters, which stay unchanged.
const mediaType =
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;[\t\x20-\x7e\u00a0-\uffff]*)?$/;
const control = /[\u0000-\u001f\u007f-\u009f]/;
/** Names that only the server may set; headers of clients with such names are dropped (T11). */
const reservedHeader = /^everywire-/i;
/** Events with which the server itself tells of gaps and ends, on wires where they travel beside messages. */
const reservedEvent = 'everywire.';

export interface Stamp {
  readonly id: string;
  readonly nowMs: number;
  readonly from: string | undefined;
}

/**
 * Checks what a peer published, once for all transports, and completes it.
 * @param namespaceBytesMax what the channel's namespace allows
 * @throws EverywireError `too_large`, `invalid`, or `malformed` for a payload that claims to be JSON and is not.
 */
export function checkDraft(
  given: PublishDraft,
  stamp: Stamp,
  limits: Limits,
  rules: Pick<NamespaceRules, 'payloadBytesMax' | 'detectsTypes'> = defaultRules,
): Draft {
  const payloadBytesMax = Math.min(limits.payloadBytesMax, rules.payloadBytesMax);
  if (given.payload.length > payloadBytesMax) {
    throw new EverywireError('too_large', `A payload has at most ${payloadBytesMax} bytes here.`);
  }
  const type = given.type ?? untoldTypeOf(given, rules.detectsTypes);
  if (type.length > limits.typeBytesMax || !mediaType.test(type)) {
    throw new EverywireError('invalid', 'type must be a media type such as text/plain.', {
      pointers: ['/type'],
    });
  }
  const isRemoval = given.retain === true && given.payload.length === 0;
  // A detected type is right.
  if (!isRemoval && given.type !== undefined && shapeOfType(type) === 'json') checkJson(given.payload);
  return {
    id: stamp.id,
    timeMs: stamp.nowMs,
    type,
    payload: given.payload,
    event: checkEvent(given.event, limits),
    headers: checkHeaders(given.headers, limits),
    from: stamp.from,
    key: checkText('key', given.key, limits.publishIdBytesMax),
    retain: given.retain,
    retainIfRoom: given.retainIfRoom,
    expiresAtMs: given.ttlMs === undefined ? undefined : stamp.nowMs + checkTtl(given.ttlMs),
    native: checkNative(given.native, limits),
  };
}

function untoldTypeOf({ payload, untoldType }: PublishDraft, detects: boolean): string {
  if (!detects) return untoldType ?? defaultType;
  const detected = detectType(payload);
  return shapeOfType(detected) === 'json' ? detected : (untoldType ?? detected);
}

function checkJson(payload: Buffer): void {
  let isJson = isUtf8(payload);
  if (isJson) {
    try {
      JSON.parse(payload.toString());
    } catch {
      isJson = false;
    }
  }
  if (!isJson)
    throw new EverywireError('malformed', 'The type says JSON, but the payload is not JSON in UTF-8.');
}

function checkEvent(given: string | undefined, limits: Limits): string | undefined {
  const event = checkText('event', given, limits.eventBytesMax);
  // Otherwise a publisher could report a false gap to an EventSource.
  if (event?.startsWith(reservedEvent) !== true) return event;
  throw new EverywireError('invalid', `Only the server may use events that begin with ${reservedEvent}.`, {
    pointers: ['/event'],
  });
}

function checkText(field: 'event' | 'key', text: string | undefined, bytesMax: number): string | undefined {
  if (text === undefined || (text === '' && field === 'event')) return undefined;
  if (text === '' || !text.isWellFormed() || control.test(text) || Buffer.byteLength(text) > bytesMax) {
    throw new EverywireError(
      'invalid',
      `${field} must be 1 to ${bytesMax} bytes of UTF-8 without control characters.`,
      {
        pointers: [`/${field}`],
      },
    );
  }
  return text;
}

function checkHeaders(
  headers: ReadonlyMap<string, string> | undefined,
  limits: Limits,
): ReadonlyMap<string, string> | undefined {
  if (headers === undefined || headers.size === 0) return undefined;
  const kept = new Map<string, string>();
  let bytes = 0;
  for (const [name, value] of headers) {
    if (reservedHeader.test(name)) continue;
    if (name === '' || control.test(name) || !name.isWellFormed()) {
      throw new EverywireError('invalid', 'A header name must not be empty or contain control characters.', {
        pointers: ['/headers'],
      });
    }
    if (control.test(value) || !value.isWellFormed()) {
      throw new EverywireError('invalid', 'A header value must not contain control characters.', {
        pointers: ['/headers'],
      });
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    kept.set(name, value);
  }
  if (kept.size > limits.messageHeadersMax || bytes > limits.messageHeaderBytesMax) {
    throw new EverywireError(
      'too_large',
      `A message has at most ${limits.messageHeadersMax} headers of ${limits.messageHeaderBytesMax} bytes together.`,
    );
  }
  return kept.size === 0 ? undefined : kept;
}

function checkNative(native: Buffer | undefined, limits: Limits): Buffer | undefined {
  if (native === undefined || native.length === 0) return undefined;
  if (native.length > limits.messageHeaderBytesMax) {
    throw new EverywireError(
      'too_large',
      `The properties of a message have at most ${limits.messageHeaderBytesMax} bytes.`,
    );
  }
  return native;
}

function checkTtl(ttlMs: number): number {
  // Ten years: enough for everyone, and far from where dates overflow.
  if (Number.isFinite(ttlMs) && ttlMs > 0 && ttlMs <= 3_650 * 86_400_000) return Math.ceil(ttlMs);
  throw new EverywireError('invalid', 'ttl must be more than 0 and at most 3650 days.', {
    pointers: ['/ttl'],
  });
}
