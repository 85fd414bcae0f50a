import type { Harness } from '../harness.ts';
import { decodeNested } from './nested-branches.ts';

export const harness: Harness = {
  name: 'planted-nested',
  inputBytesMax: 64,
  seeds: ['something of more than six bytes'],
  run: (input) => decodeNested(input) > 0,
};
