import { readFileSync } from 'node:fs';

/** Prints `N passed, N failed, N skipped` out of Vitest's JSON report, as the last line of a CI run. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const report = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Report;
// A file that could not even be loaded has no tests that failed, and must not look like none.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
);
const failed = report.numFailedTests + broken.length;
const skipped = report.numPendingTests + report.numTodoTests;
process.stdout.write(`${report.numPassedTests} passed, ${failed} failed, ${skipped} skipped\n`);
