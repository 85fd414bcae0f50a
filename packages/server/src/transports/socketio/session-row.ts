import { EverywireError } from '@everywire/protocol';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { Identity } from '../../core/sessions/access.ts';
import { recordOf, removed, type SessionRecord, type SessionRecords } from './records.ts';

/** The row of one session, which its peer comes back to, and the writes of it. */
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

  /** Takes the row from the connection that has it. `undefined`: there is none yet. */
  async open(pid: string, holder: DurableHolder, identity: Identity): Promise<SessionRecord | undefined> {
    const { session, found } = await this.#records.openSession(pid, holder, identity);
    this.#durable = session;
    return found && recordOf(found);
  }

  /** What is there is what the peer goes on with; it was just read, so it is not written. */
  adopt(): void {
    this.#durable!.adopt();
  }

  /** Whose it is from the next write on. */
  set identity(identity: Identity) {
    this.#durable!.identity = identity;
  }

  /** Writes the row. Calls that wait for the same write share one. */
  save(): Promise<void> {
    if (this.#saving === undefined) {
      this.#saving = this.#write().finally(() => (this.#saving = undefined));
      return this.#saving;
    }
    // The one that runs may have been made before what this is called for.
    this.#nextSaving ??= this.#saving
      .catch(() => undefined)
      .then(() => {
        this.#nextSaving = undefined;
        return this.save();
      });
    return this.#nextSaving;
  }

  /** What the row says too much does no harm: a peer that comes back to it is judged anew. */
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
    // Its holder follows nothing any more. The peer may have come back meanwhile, and its new connection writes the row.
    if (this.#isClosed) throw new EverywireError('going_away', 'The connection has ended.');
    await this.#durable!.save();
  }
}
