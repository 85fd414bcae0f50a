import { createHash } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';
import type { Identity, Ticket } from '../core/sessions/access.ts';
import type { Clock, Random } from '../core/clock.ts';
import type { AuthLimits } from './limits.ts';

/** The prefix distinguishes a ticket from a token where either is allowed, such as in a password. */
const prefix = 'ewt_';
const randomBytes = 32;

interface Issued {
  readonly identity: Identity;
  /** Monotonic time of this server. */
  readonly untilMs: number;
}

export interface TicketsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Pick<AuthLimits, 'ticketAgeMsMax' | 'ticketsMax' | 'ticketsPerSubjectMax'>;
}

export function isTicket(text: string): boolean {
  return text.startsWith(prefix);
}

/**
 * Tickets that were issued and not used. They live in this process: a restart drops them, and their clients ask for new
 * ones. The tickets are stored by their hashes, so that a memory dump has no usable ticket.
 */
export class Tickets {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: TicketsOptions['limits'];
  /** In the order of their expiry. */
  readonly #issued = new Map<string, Issued>();
  readonly #countBySubject = new Map<string | undefined, number>();

  constructor({ clock, random, limits }: TicketsOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
  }

  /** @throws EverywireError `rate_limited` while too many wait for their use */
  issue(identity: Identity): Ticket {
    this.#forgetOld();
    const { ticketAgeMsMax, ticketsMax, ticketsPerSubjectMax } = this.#limits;
    const ofSubject = this.#countBySubject.get(identity.subject) ?? 0;
    const isSubjectFull = ofSubject >= ticketsPerSubjectMax;
    if (this.#issued.size >= ticketsMax || isSubjectFull) {
      throw new EverywireError(
        'rate_limited',
        `Ticket limit reached (limits.${isSubjectFull ? 'ticketsPerSubjectMax' : 'ticketsMax'}). Use the issued tickets, or wait until they expire.`,
        {
          retryAfterMs: ticketAgeMsMax,
        },
      );
    }
    const ticket = prefix + Buffer.from(this.#random.hex(randomBytes), 'hex').toString('base64url');
    this.#issued.set(hashOf(ticket), { identity, untilMs: this.#clock.monotonicMs() + ticketAgeMsMax });
    this.#countBySubject.set(identity.subject, ofSubject + 1);
    const expiresAtMs = this.#clock.nowMs() + ticketAgeMsMax;
    return { ticket, expiresAtMs: Math.min(expiresAtMs, identity.claims?.expiresAtMs ?? expiresAtMs) };
  }

  /** Returns the identity of a ticket, and removes the ticket. @throws EverywireError `unauthorized` */
  take(ticket: string): Identity {
    this.#forgetOld();
    const hash = hashOf(ticket);
    const issued = this.#issued.get(hash);
    if (issued === undefined) {
      throw new EverywireError(
        'unauthorized',
        'The ticket is unknown, used or expired. Get a new one with POST /tickets.',
      );
    }
    this.#remove(hash, issued);
    return issued.identity;
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [hash, issued] of this.#issued) {
      if (issued.untilMs > nowMs) return;
      this.#remove(hash, issued);
    }
  }

  #remove(hash: string, { identity: { subject } }: Issued): void {
    this.#issued.delete(hash);
    const left = (this.#countBySubject.get(subject) ?? 1) - 1;
    if (left > 0) this.#countBySubject.set(subject, left);
    else this.#countBySubject.delete(subject);
  }
}

function hashOf(ticket: string): string {
  return createHash('sha256').update(ticket).digest('base64url');
}
