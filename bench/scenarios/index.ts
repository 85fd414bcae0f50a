import type { Scenario } from '../run.ts';
import { ceiling } from './ceiling.ts';
import { fanout } from './fanout.ts';

/** In the order in which they run. */
export const scenarios: readonly Scenario[] = [ceiling, fanout];
