import type { PublishAccepted, PublishInvoked, ReadMarked, UnreadReported } from './history.ts';
import type { Violations } from './violations.ts';

interface Bounds {
  readonly min: number;
  readonly max: number;
}

/**
 * Rule 10: the server's unread count is head − read position, summed over channels. Publishes and marks that overlap a
 * report may or may not count, so the checker compares the report with the least and the largest possible count.
 */
export class Unread {
  readonly #sentNs = new Map<string, number>();
  readonly #heads = new Map<
    string,
    { readonly offset: number; readonly sentNs: number; readonly doneNs: number }[]
  >();
  readonly #marks: ReadMarked[] = [];
  readonly #reports: UnreadReported[] = [];
  readonly #violations: Violations;

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  invoked(event: PublishInvoked): void {
    if (!this.#sentNs.has(event.value)) this.#sentNs.set(event.value, event.atNs);
  }

  accepted(event: PublishAccepted): void {
    const heads = this.#heads.get(event.channel) ?? [];
    this.#heads.set(event.channel, heads);
    heads.push({ offset: event.offset, sentNs: this.#sentNs.get(event.value) ?? 0, doneNs: event.atNs });
  }

  marked(event: ReadMarked): void {
    this.#marks.push(event);
  }

  reported(event: UnreadReported): void {
    this.#reports.push(event);
  }

  judge(): void {
    for (const report of this.#reports) {
      let min = 0;
      let max = 0;
      for (const channel of report.channels) {
        const head = this.#head(channel, report);
        const read = this.#read(channel, report);
        min += Math.max(0, head.min - read.max);
        max += Math.max(0, head.max - read.min);
      }
      if (report.count >= min && report.count <= max) continue;
      const due = min === max ? String(min) : `${min} to ${max}`;
      this.#violations.add(
        'unread',
        `the server reported ${report.count} unread to ${report.user} instead of ${due}`,
      );
    }
  }

  #head(channel: string, report: UnreadReported): Bounds {
    let min = 0;
    let max = 0;
    for (const { offset, sentNs, doneNs } of this.#heads.get(channel) ?? []) {
      if (doneNs <= report.atNs) min = Math.max(min, offset);
      if (sentNs <= report.doneNs) max = Math.max(max, offset);
    }
    return { min, max };
  }

  /** The read position only moves forward, so a mark below an earlier one changes nothing. */
  #read(channel: string, report: UnreadReported): Bounds {
    let min = 0;
    let max = 0;
    for (const mark of this.#marks) {
      if (mark.user !== report.user || mark.channel !== channel) continue;
      if (mark.doneNs <= report.atNs) min = Math.max(min, mark.offset);
      if (mark.atNs <= report.doneNs) max = Math.max(max, mark.offset);
    }
    return { min, max };
  }
}
