import type { Harness } from '../harness.ts';
import { decodeLeaking } from './leak.ts';

export const harness: Harness = {
  name: 'planted-leak',
  inputBytesMax: 16,
  seeds: [],
  run: (input) => decodeLeaking(input),
};
