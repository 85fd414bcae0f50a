import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files of more than ten seconds, the longest first: started last, one of them would run alone at the end. A fresh
 * clone has no timings of earlier runs, by which Vitest would order them.
 */
const longFiles: readonly string[] = [
  'test/simulation/simulation.test.ts',
  'test/interop/cli.test.ts',
  'test/faults/store/kill.test.ts',
  'test/fuzz/fuzz.test.ts',
  'test/faults/server/kill.test.ts',
  'test/faults/server/stomp-kill.test.ts',
  'test/faults/server/hop.test.ts',
  'test/interop/worst-payloads.test.ts',
  'test/faults/store/power-cut.test.ts',
  'test/faults/store/sabotage.test.ts',
  'test/interop/cross-matrix.test.ts',
  'test/faults/store/corruption.test.ts',
  'test/interop/socketio-adapter.test.ts',
  'test/faults/mqtt/kill.test.ts',
  'test/simulation/acknowledging/simulation.test.ts',
  'test/interop/cli-token.test.ts',
  'test/interop/tls/cli.test.ts',
];

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = longFiles.findIndex((path) => moduleId.endsWith(`/${path}`));
      return rank < 0 ? longFiles.length : rank;
    };
    return (await super.sort(files)).sort((a, b) => rankOf(a) - rankOf(b));
  }
}

/** These measure the memory or the processor time of their process, or load a campaign's worth of it. */
const alone = [
  'packages/server/test/websocket/peer.test.ts',
  'test/bench/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/fuzz/**/*.test.ts',
  'test/interop/abuse/**/*.test.ts',
  'test/interop/bad-input-grpc/**/*.test.ts',
  'test/interop/tls/handshakes.test.ts',
];

export default defineConfig({
  test: {
    // One more than there are cores: many suites wait for the processes that they started, and for timers.
    maxWorkers: availableParallelism() + 1,
    // Limits are for what hangs; a busy machine or a slow disk must not reach them.
    testTimeout: 120_000,
    // The default of a second is less than a busy machine may take for anything.
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 240_000,
    sequence: { sequencer: LongFilesFirst },
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: alone },
      },
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...alone],
          // No module keeps state, so a file may find its modules loaded by the file before it.
          isolate: false,
          // Of what a test that failed halfway has replaced, the next file must not find the replacement.
          restoreMocks: true,
        },
      },
    ],
  },
});
