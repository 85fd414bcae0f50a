import { EverywireError } from '@everywire/protocol';
import type { Clock, Timer } from '../clock.ts';
import { Counts } from './counts.ts';
import type { Limits } from '../limits.ts';

/** `wait`: nothing is read from it until `serve` is called. `refuse`: it is closed without a word. */
export type Decision = 'serve' | 'wait' | 'refuse';

export interface Arrival {
  /** The peer's address; `undefined` for one that is gone already. */
  readonly address: string | undefined;
  /** Its turn has come. */
  readonly serve: () => void;
  /** It has waited too long. */
  readonly refuse: () => void;
}

type Stage = 'waiting' | 'unknown' | 'known' | 'gone';

/** One connection, from its arrival to its end. */
class Guest {
  stage: Stage = 'waiting';
  subject: string | undefined;
  deadline: Timer | undefined;
  readonly address: string;
  readonly arrival: Arrival;

  constructor(address: string, arrival: Arrival) {
    this.address = address;
    this.arrival = arrival;
  }
}

/**
 * Bounds the number of connections: unauthenticated ones by address and in all, authenticated ones by subject and in
 * all. Unauthenticated connections above the bound of their address are not refused at once. The server does not read
 * from them, which costs a socket and no memory for bytes, until earlier ones authenticate or close.
 */
export class Admission {
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly isExempt: (address: string) => boolean;
  readonly #guests = new Map<string, Guest>();
  readonly #connectionsByAddress = new Counts();
  readonly #strangersByAddress = new Counts();
  readonly #connectionsBySubject = new Counts();
  readonly #waiting = new Map<string, Set<Guest>>();
  #strangers = 0;
  #waitingCount = 0;
  #refused = 0;

  /** @param isExempt addresses of which many users come, such as the operator's own proxy: not counted by address */
  constructor(limits: Limits, clock: Clock, isExempt: (address: string) => boolean = () => false) {
    this.#limits = limits;
    this.#clock = clock;
    this.isExempt = isExempt;
  }

  /** For metrics. */
  get figures(): { readonly unauthenticated: number; readonly waiting: number; readonly refused: number } {
    return { unauthenticated: this.#strangers, waiting: this.#waitingCount, refused: this.#refused };
  }

  /** `key` names the connection until `gone`. */
  arrive(key: string, arrival: Arrival): Decision {
    const { address } = arrival;
    if (address === undefined || !this.#hasRoom(address)) {
      this.#refused += 1;
      return 'refuse';
    }
    const guest = new Guest(address, arrival);
    this.#guests.set(key, guest);
    this.#connectionsByAddress.add(address);
    if (this.#mayBeRead(address)) {
      this.#read(guest);
      return 'serve';
    }
    this.#wait(key, guest);
    return 'wait';
  }

  /**
   * Its peer has authenticated.
   * @throws EverywireError `quota_exceeded`: that subject has as many connections as it may have have have
   */
  know(key: string, subject: string | undefined): void {
    const guest = this.#guests.get(key);
    if (guest?.stage !== 'unknown') return;
    if (subject !== undefined) {
      const { connectionsPerSubjectMax } = this.#limits;
      if (this.#connectionsBySubject.of(subject) >= connectionsPerSubjectMax) {
        throw new EverywireError(
          'quota_exceeded',
          `One subject has at most ${connectionsPerSubjectMax} connections.`,
        );
      }
      this.#connectionsBySubject.add(subject);
      guest.subject = subject;
    }
    guest.stage = 'known';
    this.#forgetStranger(guest);
  }

  gone(key: string): void {
    const guest = this.#guests.get(key);
    if (guest === undefined) return;
    this.#guests.delete(key);
    this.#connectionsByAddress.remove(guest.address);
    const was = guest.stage;
    guest.stage = 'gone';
    if (was === 'waiting') this.#stopWaiting(guest);
    if (was === 'unknown') this.#forgetStranger(guest);
    if (guest.subject !== undefined) this.#connectionsBySubject.remove(guest.subject);
  }

  #hasRoom(address: string): boolean {
    const { connectionsMax, connectionsPerAddressMax, unauthenticatedMax } = this.#limits;
    if (this.#guests.size >= connectionsMax) return false;
    if (this.#strangers + this.#waitingCount >= unauthenticatedMax) return false;
    return this.isExempt(address) || this.#connectionsByAddress.of(address) < connectionsPerAddressMax;
  }

  #mayBeRead(address: string): boolean {
    return (
      this.isExempt(address) ||
      this.#strangersByAddress.of(address) < this.#limits.unauthenticatedPerAddressMax
    );
  }

  #read(guest: Guest): void {
    guest.stage = 'unknown';
    this.#strangers += 1;
    this.#strangersByAddress.add(guest.address);
  }

  #wait(key: string, guest: Guest): void {
    let waiting = this.#waiting.get(guest.address);
    if (waiting === undefined) this.#waiting.set(guest.address, (waiting = new Set()));
    waiting.add(guest);
    this.#waitingCount += 1;
    guest.deadline = this.#clock.after(this.#limits.handshakeTimeoutMs, () => {
      this.gone(key);
      this.#refused += 1;
      guest.arrival.refuse();
    });
  }

  #stopWaiting(guest: Guest): void {
    guest.deadline?.cancel();
    guest.deadline = undefined;
    const waiting = this.#waiting.get(guest.address);
    if (waiting?.delete(guest) !== true) return;
    this.#waitingCount -= 1;
    if (waiting.size === 0) this.#waiting.delete(guest.address);
  }

  /** It has authenticated or is gone: the next connection of its address has its turn. */
  #forgetStranger({ address }: Guest): void {
    this.#strangers -= 1;
    this.#strangersByAddress.remove(address);
    for (const next of this.#waiting.get(address) ?? []) {
      if (!this.#mayBeRead(address)) return;
      this.#stopWaiting(next);
      this.#read(next);
      next.arrival.serve();
    }
  }
}
