import type { EverywireError } from '@everywire/protocol';
import type { Batch } from '../log/batch.ts';
import type { Gap } from './store.ts';
import type { Subscription } from './subscription-api.ts';

/**
 * The transport's half of a session: where deliveries go out.
 * Its methods are called from the fan-out loop: they MUST NOT throw, wait, or change the bytes, which a thousand other
 * sinks share.
 */
export interface Sink {
  /**
   * Hands over a batch; it counts as delivered. False: hold all subscriptions of this session until `drained()`.
   * What a sink keeps unsent must stay within one batch beyond `limits.outboundHeldFromBytes`.
   */
  deliver(batch: Batch, subscription: Subscription): boolean;
  notify(notice: Notice): void;
  /**
   * Ends the peer in its own terms. The session has ended: nothing more is delivered, and it refuses everything. Its
   * subscriptions are cancelled when this has returned; until then their places can be taken down, and acknowledged to.
   * Also called when its token has expired or was revoked, then with `unauthorized`.
   */
  close(reason: CloseReason): void;
}

/** News that is not a message. */
export type Notice =
  | { readonly kind: 'gap'; readonly subscription: Subscription; readonly gap: Gap }
  /** The subscription ended by itself: its batches are used up, or its right was withdrawn. */
  | { readonly kind: 'ended'; readonly subscription: Subscription; readonly error?: EverywireError }
  /**
   * The server drains. Answer what was asked, tell the peer in its protocol to reconnect after that time, and end the
   * connection. It may come before the peer has been answered for the first time.
   */
  | { readonly kind: 'goaway'; readonly retryAfterMs: number };

export interface CloseReason {
  readonly error: EverywireError;
}
