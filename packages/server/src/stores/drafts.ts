import { hash } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';
import type { Random } from '../core/clock.ts';
import type { Draft } from '../core/log/message.ts';

/** The smallest buffer worth releasing: Node's own pool has this size, and its slices share their lifetime. */
const sharedBytesMax = 8192;

/**
 * The draft with a copy of its bytes where they are a small part of a larger buffer: a message of 64 bytes must not
 * keep alive the 64 KiB that were read from the socket with it.
 */
export function ownDraft(draft: Draft): Draft {
  const payload = ownBytes(draft.payload);
  const native = draft.native && ownBytes(draft.native);
  return payload === draft.payload && native === draft.native ? draft : { ...draft, payload, native };
}

function ownBytes(bytes: Buffer): Buffer {
  const heldBytes = bytes.buffer.byteLength;
  return heldBytes > sharedBytesMax && heldBytes > 2 * bytes.length ? Buffer.from(bytes) : bytes;
}

/**
 * The fingerprint that makes two publishes with one publish id the same: payload, event and author, 32 hex digits.
 * Media type, headers and expiry are left out, because the same retry on another transport may spell them differently.
 */
export function fingerprint(draft: Pick<Draft, 'payload' | 'event' | 'from'>): string {
  const { event = '', from = '', payload } = draft;
  // Lengths first, so that no two different triples make the same bytes.
  const head = Buffer.from(`${event.length},${from.length},${event}${from}`);
  return hash('sha256', Buffer.concat([head, payload]), 'hex').slice(0, 32);
}

/** Check tags, drawn many at a time: one call for random bytes per message would cost more than appending it. */
export class Tags {
  static readonly #perDraw = 64;
  static readonly #digits = 16;
  readonly #random: Random;
  #drawn = '';
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    if (this.#at >= this.#drawn.length) {
      this.#drawn = this.#random.hex((Tags.#perDraw * Tags.#digits) / 2);
      this.#at = 0;
    }
    return this.#drawn.slice(this.#at, (this.#at += Tags.#digits));
  }
}

export function conflict(): EverywireError {
  return new EverywireError(
    'conflict',
    'This publish id was used on this channel for another message; use a new one for new content.',
  );
}
