import {
  browser,
  ensureTools,
  fileSystems,
  grpcForPython,
  curl,
  mosquittoBroker,
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
 * If a tool is missing and cannot be installed, its tests are skipped and name the tool. Under CI a missing tool is a failure,
 * because people do not read the list of skipped tests there.
 */
const missing = ensureTools([
  browser,
  strace,
  fileSystems,
  grpcForPython,
  curl,
  mosquittoBroker,
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
