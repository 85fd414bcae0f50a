import { EverywireError } from '@everywire/protocol';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { Identity } from '../../core/sessions/access.ts';
import { recordOf, removed, type SessionRecord, type SessionRecords } from './records.ts';

/** The row of one session, which its peer comes back to, and its writes. */
export class SessionRow {
  readonly #records: SessionRecords;
  #durable: DurableSession | undefined;
  #saving: Promise<void> | undefined;
  #nextSaving: Promise<void> | undefined;
  #isClosed = false;

  constructor(records: SessionRecords) {
    this.#records = records;
  }

  /** The peer can come back to it: no other connection has taken it. */
  get isOpen(): boolean {
    return this.#durable?.isOpen === true;
  }

  /** Takes the row from the connection that has it. `undefined`: there is no row yet. */
  async open(pid: string, holder: DurableHolder, identity: Identity): Promise<SessionRecord | undefined> {
    const { session, found } = await this.#records.openSession(pid, holder, identity);
    this.#durable = session;
    return found && recordOf(found);
  }

  /** The peer continues with the state in the row; it was just read, so there is no write. */
  adopt(): void {
    this.#durable!.adopt();
  }

  /** The owner, from the next write on. */
  set identity(identity: Identity) {
    this.#durable!.identity = identity;
  }

  /** Writes the row. Calls that wait for the same write share one. */
  save(): Promise<void> {
    if (this.#saving === undefined) {
      this.#saving = this.#write().finally(() => (this.#saving = undefined));
      return this.#saving;
    }
    // The running write may lack the change that this call has to store.
    this.#nextSaving ??= this.#saving
      .catch(() => undefined)
      .then(() => {
        this.#nextSaving = undefined;
        return this.save();
      });
    return this.#nextSaving;
  }

  /** Filters in the row that are no longer allowed do no harm: the rights of a peer that comes back are checked again. */
  saveSoon(): void {
    this.#durable!.saveSoon();
  }

  /** Its peer left on purpose and does not come back. Never rejects. */
  remove(): undefined | Promise<void> {
    this.#isClosed = true;
    return this.#durable && removed(this.#durable);
  }

  /** The row stays as it was written last. */
  release(): void {
    this.#isClosed = true;
    this.#durable?.release();
  }

  async #write(): Promise<void> {
    // The holder follows nothing any more. The peer may have come back meanwhile, and its new connection writes the row.
    if (this.#isClosed) throw new EverywireError('going_away', 'The connection has ended.');
    await this.#durable!.save();
  }
}
