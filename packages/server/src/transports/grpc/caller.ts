import type { Identity } from '../../core/sessions/access.ts';
import type { Peer } from '../../http/peer.ts';

/** The caller, with all that the server knows before the call begins. */
export interface Caller {
  readonly token: string | undefined;
  readonly address: string | undefined;
  /** The subject of the client certificate, and the name, of the connection. */
  readonly certificate?: string | undefined;
  readonly connection?: string | undefined;
}

/** An authenticated caller. */
export interface Party extends Peer {
  readonly identity: Identity;
}
