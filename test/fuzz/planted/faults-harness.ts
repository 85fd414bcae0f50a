import type { Harness } from '../harness.ts';
import { decodeFaulty } from './faults.ts';

/** Which fault is to be met is said by an input that is handed in. */
export const harness: Harness = {
  name: 'planted-faults',
  inputBytesMax: 16,
  seeds: [],
  run: (input) => decodeFaulty(input),
};
