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
   * Takes a batch, which counts as delivered. False: hold all subscriptions of this session until `drained()`. A sink
   * keeps at most one batch beyond `limits.outboundHeldFromBytes` unsent.
   */
  deliver(batch: Batch, subscription: Subscription): boolean;
  notify(notice: Notice): void;
  /**
   * Ends the connection in the terms of its protocol. The session has ended: it delivers nothing and refuses all
   * operations. Its subscriptions are cancelled after this returns; until then the sink can read their places and
   * acknowledge. Also called when its token has expired or was revoked, then with `unauthorized`.
   */
  close(reason: CloseReason): void;
}

/** News that is not a message. */
export type Notice =
  | { readonly kind: 'gap'; readonly subscription: Subscription; readonly gap: Gap }
  /** The subscription ended by itself: it has delivered all its batches, or the client lost the right. */
  | { readonly kind: 'ended'; readonly subscription: Subscription; readonly error?: EverywireError }
  /**
   * The server drains. Answer what was asked, tell the peer in its protocol to reconnect after that time, and end the
   * connection. It may come before the peer has been answered for the first time.
   */
  | { readonly kind: 'goaway'; readonly retryAfterMs: number };

export interface CloseReason {
  readonly error: EverywireError;
}
