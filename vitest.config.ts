import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    // Two workers: these suites start servers and compare latencies; more would only compete for two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    // The default of a second is less than a busy machine may take for anything.
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 60_000,
  },
});
