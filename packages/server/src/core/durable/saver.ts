import type { Clock, Timer } from '../clock.ts';
import type { Fence, RecordStore, RecordWrite } from '../seams/store.ts';
import type { Log } from '../seams/log.ts';
import { StaleWrite } from '../cluster/stale-write.ts';

/** How long a change may wait to be saved with others. A crash costs as much in repetitions. */
const saveEveryMs = 50;
const retryMs = 1_000;

/** Rows to write, and the lease without which they must not be written. */
export interface Save {
  readonly records: readonly RecordWrite[];
  readonly fences: readonly Fence[];
}

/** Something whose rows are written again and again. */
export interface Savable {
  /** Its rows as they are now; `undefined` when there is nothing left to save. */
  save(): Save | undefined;
  /** `save` is durable. */
  saved(save: Save): void;
  /** Another owner has the lease that `save` was made under: its rows must not be written any more. */
  stale(save: Save): void;
}

/** The unsaved changes of one kind of session. */
export class SaveLane {
  readonly dirty = new Set<Savable>();
  /** After a large save the next one of this lane waits until then. */
  notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Each save of so many bytes makes the next one wait another `saveEveryMs`: long rows must not keep the disk busy. */
  readonly bytesPerSave: number;

  constructor(bytesPerSave: number) {
    this.bytesPerSave = bytesPerSave;
  }
}

/**
 * Saves recent changes in one write, for all kinds of sessions together. A failed write stays unsaved and is tried
 * again. Writes take effect in the order of the calls, as `RecordStore` does it.
 */
export class Saver {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #lanes: SaveLane[] = [];
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #isStopped = false;

  constructor({
    records,
    clock,
    log,
  }: {
    readonly records: RecordStore;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#records = records;
    this.#clock = clock;
    this.#log = log;
  }

  addLane(bytesPerSave = Number.POSITIVE_INFINITY): SaveLane {
    const lane = new SaveLane(bytesPerSave);
    this.#lanes.push(lane);
    return lane;
  }

  saveSoon(lane: SaveLane, one: Savable): void {
    lane.dirty.add(one);
    if (this.#timer === undefined) this.#wait(saveEveryMs);
  }

  /** Writes all unsaved changes at once. Rejects when that failed; the changes are tried again. */
  async flush(): Promise<void> {
    // A write in progress may have started before the last change.
    await this.#writing?.catch(() => undefined);
    await this.#write(this.#lanes);
  }

  /** Saves what is unsaved, and from now on only on `flush`. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    try {
      await this.flush();
    } catch (cause) {
      this.#log.error(
        { err: cause },
        'the last progress of durable sessions could not be saved; it is repeated',
      );
    }
  }

  #wait(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      // The store takes longer than the interval: its end begins the next one.
      if (this.#writing !== undefined) return;
      const nowMs = this.#clock.monotonicMs();
      this.#write(this.#lanes.filter(({ notBeforeMs }) => notBeforeMs <= nowMs)).catch(() => undefined);
    });
  }

  #write(lanes: readonly SaveLane[]): Promise<void> {
    const writing = this.#writeOut(lanes);
    this.#writing = writing;
    return writing.then(
      () => this.#ended(writing, saveEveryMs),
      (cause: unknown) => {
        this.#log.warn({ err: cause }, 'durable sessions could not be saved; trying again');
        this.#ended(writing, retryMs);
        throw cause;
      },
    );
  }

  #ended(writing: Promise<void>, delayMs: number): void {
    if (this.#writing === writing) this.#writing = undefined;
    if (this.#timer === undefined && this.#lanes.some(({ dirty }) => dirty.size > 0)) this.#wait(delayMs);
  }

  async #writeOut(lanes: readonly SaveLane[]): Promise<void> {
    const saves: Taken[] = [];
    for (const lane of lanes) {
      let bytes = 0;
      for (const one of lane.dirty) {
        const save = one.save();
        if (save === undefined) continue;
        saves.push({ lane, one, save });
        for (const { value } of save.records) bytes += value?.length ?? 0;
      }
      lane.dirty.clear();
      if (bytes < lane.bytesPerSave) continue;
      lane.notBeforeMs =
        this.#clock.monotonicMs() + saveEveryMs * (1 + Math.floor(bytes / lane.bytesPerSave));
    }
    if (saves.length === 0) return;
    try {
      await this.#writeTogether(saves);
    } catch (cause) {
      for (const { lane, one } of saves) lane.dirty.add(one);
      throw cause;
    }
  }

  /** A stale fence refuses the whole write. Then smaller writes find the stale sessions, which are given up. */
  async #writeTogether(saves: readonly Taken[]): Promise<void> {
    try {
      await this.#records.write(
        saves.flatMap(({ save }) => save.records),
        { fences: saves.flatMap(({ save }) => save.fences) },
      );
    } catch (cause) {
      if (!(cause instanceof StaleWrite)) throw cause;
      if (saves.length > 1) {
        // Halves, so that one stale session among thousands costs a few writes and not thousands.
        const middle = saves.length >> 1;
        await this.#writeTogether(saves.slice(0, middle));
        await this.#writeTogether(saves.slice(middle));
        return;
      }
      saves[0]!.one.stale(saves[0]!.save);
      return;
    }
    for (const { one, save } of saves) one.saved(save);
  }
}

interface Taken {
  readonly lane: SaveLane;
  readonly one: Savable;
  readonly save: Save;
}
