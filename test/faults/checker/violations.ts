import type { HistoryEvent, Rule, Violation } from './history.ts';

/** Keeps the first violations of each rule and counts the rest: one fault in a long run breaks thousands of offsets. */
export class Violations {
  readonly #kept: Violation[] = [];
  readonly #counts = new Map<Rule, number>();
  readonly #keptPerRuleMax: number;

  constructor(keptPerRuleMax = 20) {
    this.#keptPerRuleMax = keptPerRuleMax;
  }

  add(rule: Rule, detail: string, context?: readonly HistoryEvent[]): void {
    const count = (this.#counts.get(rule) ?? 0) + 1;
    this.#counts.set(rule, count);
    if (count <= this.#keptPerRuleMax)
      this.#kept.push(context === undefined ? { rule, detail } : { rule, detail, context });
  }

  get kept(): readonly Violation[] {
    return this.#kept;
  }

  get counts(): ReadonlyMap<Rule, number> {
    return this.#counts;
  }
}
