import {
  browser,
  ensureTools,
  fileSystems,
  grpcForPython,
  curl,
  mosquittoClients,
  openssl,
  pahoForPython,
  protoc,
  socketIoForPython,
  stompForPython,
  strace,
} from './tools.ts';
import { runVitest } from './vitest.ts';

/**
 * `npm test`: runs every suite. Arguments are Vitest's: `npm test -- packages/server/test/core`.
 * A tool that is missing and cannot be installed makes its tests skip, naming it; under CI it is a failure, because
 * nobody reads there what was skipped.
 */
const missing = ensureTools([
  browser,
  strace,
  fileSystems,
  grpcForPython,
  curl,
  mosquittoClients,
  openssl,
  pahoForPython,
  protoc,
  socketIoForPython,
  stompForPython,
]);
for (const { name } of missing)
  process.stderr.write(`${name} is not installed: the tests that need it are skipped\n`);
const code = runVitest(process.argv.slice(2));
process.exitCode = missing.length > 0 && process.env['CI'] === 'true' ? 1 : code;
