import { toEverywireError } from '@everywire/protocol';
import type { Hello, Session } from '../seams/session-api.ts';
import type { Sink } from '../seams/sink.ts';
import type { Random } from '../clock.ts';
import { spreadMs } from '../spread.ts';
import { ThrottledLog } from '../throttled-log.ts';
import type { Credentials, Identity } from './access.ts';
import type { Admission } from './admission.ts';
import { Grants } from './grants.ts';
import { Queries } from './queries.ts';
import { HubSession, type SessionParts } from './session.ts';

export interface SessionsParts extends Omit<
  SessionParts,
  'queries' | 'authenticate' | 'refreshed' | 'ended'
> {
  readonly random: Random;
  /** Learns which connections have authenticated, for the bounds of connections. */
  readonly admission?: Admission | undefined;
}

/** Admits clients: authenticates them, and opens their sessions. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #shared: SessionParts;
  readonly #grants: Grants;
  readonly #throttledLog: ThrottledLog;
  readonly #open = new Set<HubSession>();
  #isDraining = false;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
    this.#grants = new Grants(parts.access, parts.clock, parts.log);
    this.#throttledLog = new ThrottledLog(parts.clock, parts.log);
    this.#shared = {
      ...parts,
      queries: new Queries(parts),
      authenticate: (credentials) => this.authenticate(credentials),
      refreshed: (session) => this.#grants.watch(session),
      ended: (session) => this.#ended(session),
    };
  }

  async authenticate(credentials: Credentials): Promise<Identity> {
    const { access, log } = this.#parts;
    const { connection, address } = credentials;
    try {
      const identity = await access.authenticate(credentials);
      if (connection !== undefined) this.recognize(connection, identity);
      return identity;
    } catch (refusal) {
      const { code, message: detail } = toEverywireError(refusal);
      // Many clients do not show their users why they were refused.
      this.#throttledLog.info({ address, code, detail }, 'a login was refused');
      log.debug({ address, code, detail }, 'a login was refused');
      throw refusal;
    }
  }

  recognize(connection: string, { subject }: Identity): void {
    this.#parts.admission?.know(connection, subject);
  }

  open(identity: Identity, hello: Hello, sink: Sink): Session {
    this.#count(hello, 1);
    const session = new HubSession(this.#shared, { identity, hello, sink });
    this.#open.add(session);
    this.#grants.watch(session);
    // Its request came before the drain; its transport has the session only after this turn.
    if (this.#isDraining) this.#parts.clock.turn(() => this.#sendAway(session));
    return session;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Tells every peer to reconnect elsewhere, each after another time; also those that are admitted later. */
  beginDrain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const session of this.#open) this.#sendAway(session);
  }

  stop(): void {
    this.#grants.stop();
  }

  #sendAway(session: HubSession): void {
    const { limits, random, log } = this.#parts;
    try {
      session.goAway(spreadMs(limits.retryAfterMs, random));
    } catch (cause) {
      // A fault of one transport must not keep the others' peers here.
      log.error({ err: cause }, 'a connection could not be asked to leave');
    }
  }

  #ended(session: HubSession): void {
    this.#open.delete(session);
    this.#grants.forget(session);
    this.#count(session.hello, -1);
  }

  #count({ transport }: Hello, more: 1 | -1): void {
    const { sessions } = this.#parts.figures;
    sessions.set(transport, (sessions.get(transport) ?? 0) + more);
  }
}
