import type { Scenario } from '../run.ts';
import { readyMade } from '../targets/index.ts';
import { fanOutOver } from './fanout.ts';

export const ceiling: Scenario = {
  name: 'ceiling',
  title: "The generator's own limit: a server that writes ready-made buffers once per tick to 1000 sockets.",
  run: async function* (bench) {
    yield* fanOutOver(bench, readyMade, 'bytes', bench.isQuick ? [1_000] : [50, 200, 1_000, 2_000, 4_000]);
  },
};
