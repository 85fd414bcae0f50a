import type { Deadline } from '../deadlines.ts';
import type { Lease } from '../seams/cluster.ts';
import type { RecordWrite } from '../seams/store.ts';
import type { Counted } from './quotas.ts';
import type { Savable, Save } from './saver.ts';

/** What an entry needs of an open session. */
export interface OpenHalf {
  /** The rows that change, as they are now; `undefined` before the first save. */
  movingRows(): readonly RecordWrite[] | undefined;
  /** Another owner has the session. */
  loseTo(why: 'stale'): void;
}

/** What this process knows of one session: its holder, or what is left of it. */
export class Entry<Open extends OpenHalf> implements Savable, Counted {
  readonly key: string;
  /** The open session; `undefined` while it has no holder. */
  open: Open | undefined;
  lease: Lease | undefined;
  /** It counts against the quotas: it has rows, or is about to. */
  isCounted = false;
  /** Rows of it may be in the store: they were read, or were written. */
  hasRows = false;
  isFree = false;
  isEvicted = false;
  /** The subject whose quota it counts against. */
  subject: string | undefined;
  /** When its last holder left, by the clock that only grows. */
  awaySinceMs = Number.NEGATIVE_INFINITY;
  /** The last rows of a session that was left or removed, until they are durable. */
  unsaved: readonly RecordWrite[] | undefined;
  /** The last work of the holder that left. */
  ending: Promise<void> | undefined;
  /** The newest of the operations on this session, which run one after the other. */
  tail: Promise<unknown> | undefined;
  /** While it has no holder, on the monotonic clock. */
  expiresAtMs = Number.POSITIVE_INFINITY;
  wakesAtMs = Number.POSITIVE_INFINITY;
  deadline: Deadline | undefined;
  readonly #onSaved: (entry: Entry<Open>) => void;

  constructor(key: string, onSaved: (entry: Entry<Open>) => void) {
    this.key = key;
    this.#onSaved = onSaved;
  }

  get fences(): Save['fences'] {
    const { lease } = this;
    return lease === undefined ? [] : [{ name: lease.name, token: lease.token }];
  }

  /** Cancels its deadline. */
  unwatch(): void {
    this.deadline?.cancel();
    this.deadline = undefined;
  }

  save(): Save | undefined {
    // A session that was opened and not saved has no rows: those that its predecessor left still have to be written.
    const records = this.open?.movingRows() ?? this.unsaved;
    return records && { records, fences: this.fences };
  }

  saved({ records }: Save): void {
    if (this.unsaved !== records) return;
    this.unsaved = undefined;
    this.#onSaved(this);
  }

  /** @param save what was refused; absent: the lease is lost */
  stale(save?: Save): void {
    // It was made before the session was opened anew here, under another lease.
    if (save !== undefined && this.lease !== undefined && save.fences[0]?.token !== this.lease.token) return;
    this.unsaved = undefined;
    this.open?.loseTo('stale');
    this.#onSaved(this);
  }
}
