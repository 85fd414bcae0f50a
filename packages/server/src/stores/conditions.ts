import { StaleWrite } from '../core/cluster/stale-write.ts';
import type { WriteConditions } from '../core/seams/store.ts';

/** The writes of a commit so far, on top of the committed state. */
export interface ConditionState {
  row(table: string, key: string): Buffer | undefined;
  tokenOf(lease: string): string | undefined;
}

/** Whether a write with these conditions may go into the commit. */
export function doHold({ guards = [], fences = [] }: WriteConditions, state: ConditionState): boolean {
  return (
    fences.every(({ name, token }) => state.tokenOf(name) === token) &&
    guards.every(({ table, key, expected }) => {
      const row = state.row(table, key);
      return row === undefined || expected === undefined ? row === expected : row.equals(expected);
    })
  );
}

/** @throws StaleWrite */
export function checkConditions(conditions: WriteConditions, state: ConditionState): void {
  if (!doHold(conditions, state)) throw new StaleWrite();
}
