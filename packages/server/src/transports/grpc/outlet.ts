import type { EverywireError } from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Peer } from '../../http/peer.ts';

/** Where the responses of one streaming call go: an HTTP/2 stream, or a handler of Connect. */
export interface Outlet {
  /** Length-prefixed messages, which may be shared and must not change. False: nothing more until the call is `drained`. */
  send(framed: Buffer): boolean;
  /** Ends the call: with status OK, or as the refusal says. */
  end(error?: EverywireError): void;
}

/** Who calls, and what has been found out about them before the call begins. */
export interface Caller {
  readonly token: string | undefined;
  readonly address: string | undefined;
  /** The subject of the client certificate, and the name, of the connection. */
  readonly certificate?: string | undefined;
  readonly connection?: string | undefined;
}

/** A caller who has been let in. */
export interface Party extends Peer {
  readonly identity: Identity;
}
