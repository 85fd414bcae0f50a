import type { Filter } from './filter.ts';

/** Who is asking, and with which claims. */
export interface Identity {
  /** The authenticated subject; `undefined` when nobody had to say who they are. */
  readonly subject: string | undefined;
  readonly isAdmin: boolean;
}

/** What a peer shows at its handshake. */
export interface Credentials {
  readonly token: string | undefined;
  /** The peer's address, for limits and logs. */
  readonly address: string | undefined;
}

/**
 * The one place that says who may do what. The hub asks it on every path (live, replay, retained, list, delete),
 * so that no transport can forget to. Refusals are thrown as `unauthorized` or `forbidden`.
 */
export interface Access {
  authenticate(credentials: Credentials): Promise<Identity>;
  authorizePublish(identity: Identity, channel: string): void;
  authorizeSubscribe(identity: Identity, filter: Filter): void;
  authorizeAdmin(identity: Identity, action: string): void;
  /**
   * Which channels of a filter that was granted may be delivered. `undefined` means all of them, which lets the
   * fan-out hand the shared batch over without looking at each message.
   */
  deliverable(identity: Identity, filter: Filter): ((channel: string) => boolean) | undefined;
}

const everybody: Identity = { subject: undefined, isAdmin: true };

/** Authentication off: everyone may do everything. Only for loopback; the server refuses a public address with it. */
export const openAccess: Access = {
  authenticate: () => Promise.resolve(everybody),
  authorizePublish: () => undefined,
  authorizeSubscribe: () => undefined,
  authorizeAdmin: () => undefined,
  deliverable: () => undefined,
};
