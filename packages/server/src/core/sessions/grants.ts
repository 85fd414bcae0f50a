import { toEverywireError, type EverywireError } from '@everywire/protocol';
import type { Access, Identity } from './access.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../seams/log.ts';

/** A session, as its right to be connected needs it. */
export interface Holder {
  readonly identity: Identity;
  /** Ends it, and tells its peer why. */
  expel(error: EverywireError): void;
}

/** How late the end of a token may be noticed. Dates are compared anew each time, so that a stepped clock harms nothing. */
const checkEveryMs = 1_000;

/** Sessions that hold a token: each ends with it, at its date or when it is revoked. */
export class Grants {
  readonly #access: Access;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #holders = new Set<Holder>();
  #timer: Timer | undefined;

  constructor(access: Access, clock: Clock, log: Log) {
    this.#access = access;
    this.#clock = clock;
    this.#log = log;
    access.onRevoked((isHit) => this.#check((identity) => isHit(identity)));
  }

  watch(holder: Holder): void {
    if (holder.identity.claims === undefined) {
      this.#holders.delete(holder);
      return;
    }
    this.#holders.add(holder);
    this.#timer ??= this.#clock.after(checkEveryMs, () => this.#onTime());
    // Its token may have been revoked between the handshake and now, when it was not watched yet.
    if (this.#refusalOf(holder) !== undefined) this.#clock.turn(() => this.#checkOne(holder));
  }

  forget(holder: Holder): void {
    this.#holders.delete(holder);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #onTime(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    this.#check(({ claims }) => claims !== undefined && claims.expiresAtMs <= nowMs);
    if (this.#holders.size > 0) this.#timer = this.#clock.after(checkEveryMs, () => this.#onTime());
  }

  #check(isSuspect: (identity: Identity) => boolean): void {
    for (const holder of this.#holders) if (isSuspect(holder.identity)) this.#checkOne(holder);
  }

  #checkOne(holder: Holder): void {
    const refusal = this.#refusalOf(holder);
    if (refusal === undefined || !this.#holders.delete(holder)) return;
    try {
      holder.expel(refusal);
    } catch (cause) {
      // A fault of one transport must not keep the peers of others connected.
      this.#log.error({ err: cause }, 'a connection could not be ended after its token');
    }
  }

  #refusalOf({ identity }: Holder): EverywireError | undefined {
    try {
      this.#access.checkCurrent(identity);
      return undefined;
    } catch (refusal) {
      return toEverywireError(refusal);
    }
  }
}
