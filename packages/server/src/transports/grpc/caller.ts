import type { Identity } from '../../core/sessions/access.ts';
import type { Peer } from '../../http/peer.ts';

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
